// Signs in on both networks of Stacks, and prints the two answers.
import { hashMessage } from '@stacks/encryption';
import { getAddressFromPrivateKey, randomPrivateKey, signMessageHashRsv } from '@stacks/transactions';

async function post(path, body) {
  const headers = { 'Content-Type': 'application/json' };
  const response = await fetch(`http://127.0.0.1:4402${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
  const answer = await response.json();
  if (!response.ok) throw new Error(JSON.stringify(answer));
  return answer;
}

const hex = bytes => Buffer.from(bytes).toString('hex');

async function signIn(network, chain) {
  const privateKey = randomPrivateKey();
  const address = getAddressFromPrivateKey(privateKey, network);
  const { message, nonce } = await post('/v1/auth/challenge', { address, chain });
  const signature = signMessageHashRsv({ messageHash: hex(hashMessage(message)), privateKey });
  return post('/v1/auth/verify', { nonce, signature });
}

console.log(JSON.stringify([await signIn('mainnet', 'stacks:1'), await signIn('testnet', 'stacks:2147483648')]));
