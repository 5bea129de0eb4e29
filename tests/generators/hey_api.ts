// @hey-api/openapi-ts.
import { answer } from "./calls";
import { client } from "./clients/hey-api/client.gen";
import * as sdk from "./clients/hey-api/sdk.gen";

const methods: Record<string, (options: object) => Promise<any>> = sdk as any;

await answer(async ({ url, token, operation, params, body }) => {
  client.setConfig({ baseUrl: url, auth: () => token });
  const { data, error } = await methods[operation]({ path: params, body: body ?? undefined });
  if (error) throw error;
  return data;
});
