// Pays for a call with the official client as it comes: pay.mjs <url> <method> <body> [count]
// Prints one line of JSON for each call. PAYER_KEY: who pays. PAYMENT_ID: a payment-identifier.
import { x402Client } from '@x402/core/client';
import { decodePaymentResponseHeader } from '@x402/core/http';
import { ExactEvmScheme } from '@x402/evm/exact/client';
import { appendPaymentIdentifierToExtensions } from '@x402/extensions/payment-identifier';
import { wrapFetchWithPayment } from '@x402/fetch';
import { privateKeyToAccount } from 'viem/accounts';

// The first key of every anvil, known to all.
const KEY = '0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80';
const { PAYER_KEY = KEY, PAYMENT_ID } = process.env;

function fail(error) {
  console.error(error);
  process.exit(1);
}
process.on('uncaughtException', fail).on('unhandledRejection', fail);
setTimeout(() => fail('pay.mjs: no end after 60 s'), 60_000).unref();

const [url, method, body, count = '1'] = process.argv.slice(2);
if (!method) fail('usage: pay.mjs <url> <method> <body> [count]');

const client = new x402Client().register('eip155:*', new ExactEvmScheme(privateKeyToAccount(PAYER_KEY)));
if (PAYMENT_ID) {
  client.onBeforePaymentCreation(async ({ paymentRequired }) => {
    if (!paymentRequired.extensions?.['payment-identifier']) throw new Error('payment-identifier is not offered');
    appendPaymentIdentifierToExtensions(paymentRequired.extensions, PAYMENT_ID);
  });
}

let paymentSignature = null;
const pay = wrapFetchWithPayment(request => {
  paymentSignature = request.headers.get('PAYMENT-SIGNATURE') ?? paymentSignature;
  return fetch(request);
}, client);

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

const init = body ? { method, body, headers: { 'Content-Type': 'application/json' } } : { method };
for (let call = 0; call < Number(count); call += 1) {
  paymentSignature = null;
  const response = await pay(url, init);
  const header = response.headers.get('PAYMENT-RESPONSE');
  const paymentResponse = header && decodePaymentResponseHeader(header);
  const answer = { status: response.status, body: parsed(await response.text()) };
  console.log(JSON.stringify({ ...answer, paymentResponse, paymentSignature }));
}
