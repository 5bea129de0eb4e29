// Signs in, and pays if it must, with the official client as it comes: siwx.mjs <url> <method> <body> [count]
// Prints one line of JSON for each call. PAYER_KEY: who signs. PAYS=no: no way to pay is registered.
import { x402Client } from '@x402/core/client';
import { decodePaymentResponseHeader } from '@x402/core/http';
import { ExactEvmScheme } from '@x402/evm/exact/client';
import { createSIWxClientExtension } from '@x402/extensions/sign-in-with-x';
import { wrapFetchWithPayment } from '@x402/fetch';
import { privateKeyToAccount } from 'viem/accounts';

// The first key of every anvil, known to all.
const KEY = '0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80';
const { PAYER_KEY = KEY, PAYS } = process.env;

function fail(error) {
  console.error(error);
  process.exit(1);
}
process.on('uncaughtException', fail).on('unhandledRejection', fail);
setTimeout(() => fail('siwx.mjs: no end after 60 s'), 60_000).unref();

const [url, method, body, count = '1'] = process.argv.slice(2);
if (!method) fail('usage: siwx.mjs <url> <method> <body> [count]');

const account = privateKeyToAccount(PAYER_KEY);
const client = new x402Client().registerExtension(createSIWxClientExtension({ signers: [account] }));
if (PAYS !== 'no') client.register('eip155:*', new ExactEvmScheme(account));

// What went out for the call, in order, and the last sign-in of it.
let requests = [];
let signIn = null;
const pay = wrapFetchWithPayment(request => {
  const { headers } = request;
  signIn = headers.get('SIGN-IN-WITH-X') ?? signIn;
  const sent = [headers.has('SIGN-IN-WITH-X') && 'sign-in', headers.has('PAYMENT-SIGNATURE') && 'payment'];
  requests.push(sent.filter(Boolean).join('+') || 'plain');
  return fetch(request);
}, client);

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

// The client throws when it cannot pay for a 402; then there is no answer, only the error.
async function answer(response) {
  const header = response.headers.get('PAYMENT-RESPONSE');
  const paymentResponse = header && decodePaymentResponseHeader(header);
  return { status: response.status, body: parsed(await response.text()), paymentResponse };
}

const init = body ? { method, body, headers: { 'Content-Type': 'application/json' } } : { method };
for (let call = 0; call < Number(count); call += 1) {
  requests = [];
  signIn = null;
  const result = await pay(url, init).then(answer, error => ({ error: error.message }));
  console.log(JSON.stringify({ ...result, requests, signIn }));
}
