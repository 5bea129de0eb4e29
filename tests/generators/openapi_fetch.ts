// openapi-typescript with openapi-fetch.
import createClient from "openapi-fetch";
import { answer } from "./calls";
import type { components, paths } from "./clients/openapi-typescript/schema";

// What the generated types must allow, and what they must refuse.
export async function typed(url: string): Promise<void> {
  const client = createClient<paths>({ baseUrl: url });
  const { data, error } = await client.POST("/v1/counters/{name}/increment", {
    params: { path: { name: "visits" }, header: { "Idempotency-Key": "12345678" } },
    body: { min: 0 },
  });
  const value: number | undefined = data?.value;
  if (error?.code === "counter-out-of-bounds") console.log(error.max, value);
  // @ts-expect-error: no such code
  if (error?.code === "counter-out-of-bound") console.log(value);
  await client.POST("/v1/queues/{queue}/jobs", { params: { path: { queue: "mails" } }, body: { payload: { to: "ada" } } });
  await client.PUT("/v1/memories/{id}", {
    params: { path: { id: "1" } },
    body: { content: "Ada prefers tea.", metadata: { source: "chat", trust: 3 } },
  });
  const calls: components["schemas"]["TransactedCall"][] = [
    { method: "increment", params: { name: "orders" }, as: "order" },
    { method: "resetCounter", params: { name: "last-order", value: { $ref: "order.value" } } },
    // @ts-expect-error: `pushJob` has no amount
    { method: "pushJob", params: { queue: "mails", payload: 1, amount: 2 } },
    // @ts-expect-error: a list cannot be in a transaction
    { method: "listCounters", params: {} },
  ];
  await client.POST("/v1/transaction", { body: { calls } });
}

await answer(async ({ url, token, verb, path, params, body }) => {
  const client = createClient<any>({ baseUrl: url, headers: { authorization: `Bearer ${token}` } });
  const media: Record<string, string> = { "/v1/sql/database": "blob", "/v1/me/export": "text" };
  const parseAs = media[path] ?? "json";
  const init: object = { params: { path: params }, body: body ?? undefined, parseAs };
  const { data, error } = await (client as any)[verb](path, init);
  if (error) throw error;
  return data;
});
