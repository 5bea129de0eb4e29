// Asks for an offer and signs it with the official client, without sending it: bazaar.mjs <url> <method>
// Prints what an index finds in the payment, and the size of the header.
import { x402Client } from '@x402/core/client';
import { decodePaymentRequiredHeader, decodePaymentSignatureHeader, encodePaymentSignatureHeader } from '@x402/core/http';
import { ExactEvmScheme } from '@x402/evm/exact/client';
import { extractDiscoveryInfo, validateDiscoveryExtension, validateDiscoveryExtensionSpec } from '@x402/extensions/bazaar';
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts';

const [url, method] = process.argv.slice(2);
const response = await fetch(url, { method });
const offer = response.headers.get('PAYMENT-REQUIRED');
const required = decodePaymentRequiredHeader(offer);
const client = new x402Client().register('eip155:*', new ExactEvmScheme(privateKeyToAccount(generatePrivateKey())));
client.setSpendControls(false);
const header = encodePaymentSignatureHeader(await client.createPaymentPayload(required));
const payment = decodePaymentSignatureHeader(header);
const { bazaar } = payment.extensions;
const [schema, spec] = [validateDiscoveryExtension(bazaar), validateDiscoveryExtensionSpec(bazaar)];
const found = extractDiscoveryInfo(payment, payment.accepted);
const { resourceUrl, routeTemplate, discoveryInfo } = found ?? {};
const bytes = { offer: offer.length, payment: header.length };
console.log(JSON.stringify({ status: response.status, schema, spec, resourceUrl, routeTemplate, discoveryInfo, bytes }));
