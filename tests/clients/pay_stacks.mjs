// Pays for a call on Stacks with the package x402-stacks: pay_stacks.mjs <url> <method> <body>
// Prints one line of JSON. NETWORK: testnet or mainnet. PAYER_KEY: who pays. NONCE: the number of the
// payer's transaction (a number is spent by one payment). Nothing is asked of a node of Stacks: its
// answers to the two questions of the client, for the number and the fee, are made up here.
import { Agent } from 'node:http';
import stacks from 'x402-stacks';

// The key of the tests of @stacks/transactions, known to all.
const KEY = 'edf9aee84d9b7abc145504dde6726c64f369d37ee34ded868fabd876c26570bc01';
const { NETWORK = 'testnet', PAYER_KEY = KEY, NONCE = '7' } = process.env;

function fail(error) {
  console.error(error);
  process.exit(1);
}
process.on('uncaughtException', fail).on('unhandledRejection', fail);
setTimeout(() => fail('pay_stacks.mjs: no end after 60 s'), 60_000).unref();

const [url, method, body] = process.argv.slice(2);
if (!method) fail('usage: pay_stacks.mjs <url> <method> <body>');

// The client looks things up with fetch, and calls the server with axios.
globalThis.fetch = async address => {
  const { pathname } = new URL(address);
  if (pathname === '/v2/fees/transfer') return new Response('1');
  if (pathname === '/v2/fees/transaction') {
    return Response.json({ estimations: [{ fee: 180 }, { fee: 200 }, { fee: 250 }] });
  }
  if (pathname.endsWith('/nonces')) return Response.json({ possible_next_nonce: Number(NONCE) });
  throw new Error(`an unexpected look-up: ${address}`);
};

// Left to itself, the client answers every 402 with one more payment, without end: the 402 that answers
// a payment is therefore handed to us, and not to the client.
let paymentSignature = null;
const account = stacks.privateKeyToAccount(PAYER_KEY, NETWORK);
const api = stacks.createPaymentClient(account, {
  httpAgent: new Agent({ keepAlive: false }),
  validateStatus: status => status !== 402 || paymentSignature !== null,
});
api.interceptors.request.use(config => {
  paymentSignature = config.headers['payment-signature'] ?? null;
  return config;
});

const headers = body ? { 'Content-Type': 'application/json' } : {};
const response = await api.request({ url, method, data: body || undefined, headers });
const { status, data } = response;
const paymentResponse = stacks.decodePaymentResponse(response.headers['payment-response']);
console.log(JSON.stringify({ status, body: data, paymentResponse, paymentSignature, payer: account.address }));
