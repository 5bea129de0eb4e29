// Reads calls from standard input, a line of JSON each, and prints what a generated client returns.
import { createInterface } from "node:readline";

export interface Call {
  url: string;
  token: string;
  operation: string;
  tag: string;
  verb: string;
  path: string;
  params: Record<string, string>;
  /** Name of the schema of the body. */
  schema: string | null;
  body: unknown;
}

export async function answer(send: (call: Call) => Promise<unknown>): Promise<void> {
  for await (const line of createInterface({ input: process.stdin })) {
    const call = JSON.parse(line) as Call;
    let result: unknown;
    try {
      result = { result: (await send(call)) ?? null };
    } catch (error) {
      result = { error: `${error} ${JSON.stringify(error)}` };
    }
    console.log(JSON.stringify(result));
  }
}
