// A chain and a facilitator for the tests of payments. Prints one line of JSON when both are ready,
// then reads one command a line and answers each with one line of JSON; {"error"} if it failed.
// Ends, and the chain with it, when its standard input is closed.
//
//   balances [address ...]            the balances of these, or of the payer and the paid
//   mint <address> <amount>           makes tokens
//   automine on|off                   a block for each transaction ("on" mines what waits, too)
//   mine                              one block
//   cancel <index of a key> <nonce>   the payer's own cancellation of an authorization
//   frontrun <payment>                a stranger broadcasts the authorization of a payment (its JSON,
//                                     or the header PAYMENT-SIGNATURE)
//   receipt <hash>                    the status of a transaction, and its transfers; null while it waits
//   requests                          how many the facilitator got of each kind
//
// The chain has the number of Base Sepolia, and the token the address of its USDC: so a client pays
// with it that knows nothing of tests. CONFIRM_MS: how long the facilitator waits for a block.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { x402Facilitator } from '@x402/core/facilitator';
import { toFacilitatorEvmSigner } from '@x402/evm';
import { ExactEvmScheme } from '@x402/evm/exact/facilitator';
import solc from 'solc';
import { createTestClient, http, parseEventLogs, parseGwei, parseSignature, publicActions, walletActions } from 'viem';
import { privateKeyToAccount } from 'viem/accounts';
import { baseSepolia } from 'viem/chains';

const USDC = '0x036CbD53842c5426634e7929541eC2318f3dCF7e';
// The first keys of every anvil, known to all: the payer, the paid, the facilitator, a stranger.
const KEYS = [
  '0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80',
  '0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d',
  '0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a',
  '0x7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6',
];
const accounts = KEYS.map(key => privateKeyToAccount(key));
const [payer, payTo, settler, stranger] = accounts;

function fail(error) {
  console.error(error);
  process.exit(1);
}
process.on('uncaughtException', fail).on('unhandledRejection', fail);
const limit = setTimeout(() => fail('chain.mjs: not ready after 60 s'), 60_000);

function compile() {
  const input = {
    language: 'Solidity',
    sources: { 'Token.sol': { content: readFileSync(new URL('Token.sol', import.meta.url), 'utf8') } },
    settings: {
      evmVersion: 'paris',
      optimizer: { enabled: true },
      viaIR: true,
      outputSelection: { '*': { '*': ['abi', 'evm.bytecode.object'] } },
    },
  };
  const { contracts, errors } = JSON.parse(solc.compile(JSON.stringify(input)));
  if (!contracts?.['Token.sol']) throw new Error(JSON.stringify(errors));
  const { abi, evm } = contracts['Token.sol'].TestUSDC;
  return { abi, bytecode: `0x${evm.bytecode.object}` };
}

// The shell ends the chain when its own standard input is closed: also when this program is killed.
function startAnvil() {
  const machine = process.arch === 'x64' ? 'amd64' : process.arch;
  const anvil = createRequire(import.meta.url).resolve(`@foundry-rs/anvil-${process.platform}-${machine}/bin/anvil`);
  const args = ['--host', '127.0.0.1', '--port', '0', '--chain-id', '84532', '--accounts', '5'];
  return spawn('sh', ['-c', '"$@" & cat >/dev/null; kill -9 $!; wait', 'sh', anvil, ...args], {
    stdio: ['pipe', 'pipe', 'inherit'],
    detached: true,
  });
}

function addressOf(anvil) {
  let printed = '';
  return new Promise(resolve => {
    anvil.stdout.on('data', chunk => {
      if (printed === null) return;
      printed += chunk;
      const found = /Listening on (\S+)/.exec(printed);
      if (!found) return;
      printed = null;
      resolve(`http://${found[1]}`);
    });
  });
}

const anvil = startAnvil();
anvil.on('exit', () => fail('chain.mjs: anvil ended'));
const { abi, bytecode } = compile();
const rpcUrl = await addressOf(anvil);

// One client for all reads; each transaction names its account.
const client = createTestClient({ chain: baseSepolia, mode: 'anvil', transport: http(rpcUrl), pollingInterval: 50 })
  .extend(publicActions)
  .extend(walletActions);
const wait = hash => client.waitForTransactionReceipt({ hash, timeout: 20_000 });
const read = (functionName, args) => client.readContract({ address: USDC, abi, functionName, args });

// The token, moved to the address of USDC with its first two words of storage: name and version.
const deployment = await client.deployContract({ account: stranger, abi, bytecode, args: ['USDC', '2'] });
const { contractAddress } = await wait(deployment);
await client.setCode({ address: USDC, bytecode: await client.getCode({ address: contractAddress }) });
for (const index of [0, 1]) {
  const value = await client.getStorageAt({ address: contractAddress, slot: `0x${index}` });
  await client.setStorageAt({ address: USDC, index, value });
}

let automine = true;

// The stranger pays more for a place in the block than the facilitator does.
async function send(functionName, args) {
  const fees = { gas: 200_000n, maxFeePerGas: parseGwei('100'), maxPriorityFeePerGas: parseGwei('50') };
  const hash = await client.writeContract({ account: stranger, address: USDC, abi, functionName, args, ...fees });
  return { hash, status: automine ? (await wait(hash)).status : null };
}
await send('mint', [payer.address, 5_000_000n]);

// Of several settlements at once, each takes its number of the account after the one before.
let sent = Promise.resolve();
const inTurn = action => (sent = sent.catch(() => {}).then(action));
const signer = toFacilitatorEvmSigner(
  {
    address: settler.address,
    getCode: client.getCode,
    readContract: client.readContract,
    verifyTypedData: client.verifyTypedData,
    writeContract: args => inTurn(() => client.writeContract({ ...args, account: settler })),
    sendTransaction: args => inTurn(() => client.sendTransaction({ ...args, account: settler })),
    waitForTransactionReceipt: client.waitForTransactionReceipt,
  },
  { confirmationTimeoutMs: Number(process.env.CONFIRM_MS ?? 180_000) },
);
const facilitator = new x402Facilitator().register('eip155:84532', new ExactEvmScheme(signer));
const requests = { supported: 0, verify: 0, settle: 0 };

async function answer(path, body) {
  if (path in requests) requests[path] += 1;
  if (path === 'supported') return facilitator.getSupported();
  const { paymentPayload, paymentRequirements } = JSON.parse(body);
  if (path === 'verify') return facilitator.verify(paymentPayload, paymentRequirements);
  if (path === 'settle') return facilitator.settle(paymentPayload, paymentRequirements);
  throw new Error(`no such path: ${path}`);
}

const server = createServer(async (request, response) => {
  let status = 200;
  let reply;
  try {
    let body = '';
    for await (const chunk of request) body += chunk;
    reply = await answer(request.url.slice(1), body);
  } catch (error) {
    [status, reply] = [500, { error: String(error.message) }];
  }
  response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(reply));
});
await once(server.listen(0, '127.0.0.1'), 'listening');

const commands = {
  async balances(...addresses) {
    const ours = [['payer', payer.address], ['payTo', payTo.address]];
    const asked = addresses.length ? addresses.map(address => [address, address]) : ours;
    const balances = asked.map(async ([name, address]) => [name, String(await read('balanceOf', [address]))]);
    return Object.fromEntries(await Promise.all(balances));
  },
  mint: (address, amount) => send('mint', [address, BigInt(amount)]),
  async automine(state) {
    if (state !== 'on' && state !== 'off') throw new Error('automine on|off');
    automine = state === 'on';
    await client.setAutomine(automine);
    if (automine) await client.mine({ blocks: 1 });
    return { automine };
  },
  async mine() {
    await client.mine({ blocks: 1 });
    return { blockNumber: Number(await client.getBlockNumber({ cacheTime: 0 })) };
  },
  async cancel(index, nonce) {
    const account = accounts[index];
    const message = { authorizer: account.address, nonce };
    const fields = [{ name: 'authorizer', type: 'address' }, { name: 'nonce', type: 'bytes32' }];
    const signature = await account.signTypedData({
      domain: { name: 'USDC', version: '2', chainId: 84532, verifyingContract: USDC },
      types: { CancelAuthorization: fields },
      primaryType: 'CancelAuthorization',
      message,
    });
    const { r, s, v } = parseSignature(signature);
    return send('cancelAuthorization', [account.address, nonce, Number(v), r, s]);
  },
  frontrun(...words) {
    const text = words.join(' ');
    const { payload } = JSON.parse(text.startsWith('{') ? text : atob(text));
    const { from, to, value, validAfter, validBefore, nonce } = payload.authorization;
    const args = [from, to, BigInt(value), BigInt(validAfter), BigInt(validBefore), nonce, payload.signature];
    return send('transferWithAuthorization', args);
  },
  async receipt(hash) {
    const receipt = await client.getTransactionReceipt({ hash }).catch(error => {
      if (error.name === 'TransactionReceiptNotFoundError') return null;
      throw error;
    });
    if (!receipt) return null;
    const transfers = parseEventLogs({ abi, eventName: 'Transfer', logs: receipt.logs });
    return {
      status: receipt.status,
      blockNumber: Number(receipt.blockNumber),
      transfers: transfers.map(({ args }) => ({ ...args, value: String(args.value) })),
    };
  },
  requests: () => requests,
};

async function obey(line) {
  const [name, ...words] = line.trim().split(/\s+/);
  try {
    if (!Object.hasOwn(commands, name)) throw new Error(`no such command: ${name}`);
    return await commands[name](...words);
  } catch (error) {
    return { error: String(error.shortMessage ?? error.message) };
  }
}

clearTimeout(limit);
console.log(JSON.stringify({
  rpcUrl,
  facilitatorUrl: `http://127.0.0.1:${server.address().port}`,
  network: 'eip155:84532',
  asset: USDC,
  payer: payer.address,
  payTo: payTo.address,
  facilitator: settler.address,
  stranger: stranger.address,
}));
for await (const line of createInterface({ input: process.stdin })) console.log(JSON.stringify(await obey(line)));
anvil.removeAllListeners('exit');
anvil.stdin.end();
await once(anvil, 'exit');
process.exit(0);
