// openapi-generator, typescript-fetch.
import { answer } from "./calls";
import * as generated from "./clients/typescript-fetch/index";

const lower = (name: string): string => name[0]!.toLowerCase() + name.slice(1);

await answer(async ({ url, token, operation, tag, params, schema, body }) => {
  const all = generated as any;
  const api = new all[`${tag[0]!.toUpperCase()}${tag.slice(1)}Api`](
    new generated.Configuration({ basePath: url, accessToken: token }),
  );
  const given = schema === null || body === null ? {} : { [lower(schema)]: all[`${schema}FromJSON`](body) };
  const response = await api[`${operation}Raw`]({ ...params, ...given });
  const raw = await response.raw.clone();
  if (raw.status === 204 || !raw.headers.get("content-type")?.startsWith("application/json")) return null;
  // As it is read and written again.
  return response.value();
});
