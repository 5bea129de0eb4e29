import assert from 'node:assert/strict';
import test from 'node:test';
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts';
import { Payerbase, type Wallet } from '../src/index.js';
import { newProxy, notingFetch, until, url } from './support.js';

function newWallet(): Wallet & { signatures: number } {
  const account = privateKeyToAccount(generatePrivateKey());
  const wallet = {
    address: account.address,
    signatures: 0,
    signMessage(message: { message: string }) {
      wallet.signatures += 1;
      return account.signMessage(message);
    },
  };
  return wallet;
}

test('a wallet signs in once, for calls at the same time', async () => {
  const wallet = newWallet();
  const pb = new Payerbase({ url, wallet, fetch: notingFetch });
  await Promise.all([pb.counters.increment('a'), pb.counters.increment('a'), pb.counters.increment('a')]);
  assert.equal((await pb.counters.get('a')).value, 3n);
  assert.equal((await pb.account.me()).payer, wallet.address.toLowerCase());
  assert.equal(wallet.signatures, 1);
});

test('a wallet signs in again when its token is refused', async () => {
  const wallet = newWallet();
  const pb = new Payerbase({ url, wallet, fetch: notingFetch });
  await pb.tokens.revoke((await pb.account.me()).tokenId);
  // Servers know within 5 seconds that a token was revoked.
  await until(async () => (await pb.counters.increment('a')) && wallet.signatures > 1);
  assert.equal(wallet.signatures, 2);
});

test('a wallet asks for the rights that it is told', async () => {
  const pb = new Payerbase({
    url,
    wallet: newWallet(),
    fetch: notingFetch,
    signIn: { chain: 'eip155:84532', scopes: ['counters:read'], lifetimeMs: 60_000 },
  });
  await assert.rejects(pb.counters.increment('a'), { code: 'missing-scope' });
  assert.deepEqual((await pb.account.me()).scopes, ['counters:read']);
});

test('a sign-in whose answer is lost begins again', async () => {
  const proxy = await newProxy();
  const wallet = newWallet();
  const pb = new Payerbase({ url: proxy.url, wallet, signIn: { domain: new URL(url).host } });
  proxy.faults.push('lose', 'pass', 'lose');
  await pb.account.me();
  assert.equal(wallet.signatures, 2);
});

test('a sign-in that fails is the error of the call, and can be tried again', async () => {
  const wallet = newWallet();
  const { signMessage } = wallet;
  wallet.signMessage = () => Promise.reject(new Error('the user has refused'));
  const pb = new Payerbase({ url, wallet });
  await assert.rejects(pb.account.me(), /the user has refused/);
  wallet.signMessage = newWallet().signMessage;
  await assert.rejects(pb.account.me(), { code: 'sign-in-failed' });
  wallet.signMessage = signMessage;
  await pb.account.me();
});

test('a wallet signs only a message of the server that the client calls', async () => {
  const proxy = await newProxy();
  const wallet = newWallet();
  // The proxy relays the challenge of the server, as a hostile one would.
  const relayed = new Payerbase({ url: proxy.url, wallet });
  await assert.rejects(relayed.account.me(), /does not sign the message of the server: it is for "127.*signIn.domain/);
  const { host } = new URL(url);
  const other = new Payerbase({ url, wallet, signIn: { domain: `x.${host}` } });
  await assert.rejects(other.account.me(), /it is for/);
  assert.equal(wallet.signatures, 0);
  await new Payerbase({ url: proxy.url, wallet, signIn: { domain: host } }).account.me();
  assert.equal(wallet.signatures, 1);
});

test('a wallet signs only a message in its layout, with its URI, address, network and nonce', async () => {
  const wallet = newWallet();
  const changes: [RegExp, (message: string, address: string) => string][] = [
    [/no sign-in message/, () => 'I owe you 100 USDC'],
    [/no sign-in message/, message => `Hello\n${message}`],
    [/no sign-in message/, message => message.replace('Sign in', '\nURI: https://x.example\nSign in')],
    [/its URI/, message => message.replace(/URI: \S+/, 'URI: https://other.example/')],
    [/its URI/, message => message.replace(/URI: http:/, 'URI: https:')],
    [/for the address/, (message, address) => message.replace(address, `0x${'1'.repeat(40)}`)],
    [/for the network/, message => message.replace('Chain ID: 8453', 'Chain ID: 1')],
    [/its nonce/, message => message.replace(/Nonce: /, 'Nonce: 0')],
  ];
  for (const [expected, change] of changes) {
    const fetchChanged = async (target: string, init: RequestInit): Promise<Response> => {
      const response = await fetch(target, init);
      if (!target.endsWith('/challenge')) return response;
      const challenge = (await response.json()) as { message: string };
      return Response.json({ ...challenge, message: change(challenge.message, wallet.address) });
    };
    await assert.rejects(new Payerbase({ url, wallet, fetch: fetchChanged }).account.me(), expected);
  }
  assert.equal(wallet.signatures, 0);
});
