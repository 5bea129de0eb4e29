/** What a message must be about, so that a wallet may sign it. */
export interface Expected {
  address: string;
  /** Network of the wallet, by its CAIP-2 id. */
  chain: string;
  nonce: string;
  /** Domain of the server, if it is not that of `base`. */
  domain?: string | undefined;
  /** URL of the server. */
  base: string;
}

/** The layout of EIP-4361, up to the nonce. Each value is one line. */
const LAYOUT =
  /^(\S+) wants you to sign in with your \w+ account:\n(\S+)\n\n[^\r\n]*\n\nURI: (\S+)\nVersion: 1\nChain ID: (\d+)\nNonce: (\S+)\n/;

/**
 * Throws unless a message signs in to the server that the client calls, with the expected address, network and nonce.
 * Otherwise a server could relay the challenge of another one, and sign in there with the signature.
 */
export function checkMessage(message: string, expected: Expected): void {
  const refuse = (why: string): never => {
    throw new Error(`the wallet does not sign the message of the server: ${why}`);
  };
  const found = LAYOUT.exec(message) ?? refuse('it is no sign-in message in the layout of EIP-4361');
  const [, domain = '', address = '', uri = '', chainId, nonce] = found;
  const { host, origin } = new URL(expected.base);
  const wanted = (expected.domain ?? host).toLowerCase();
  const advice = 'if this is the public domain of the server, pass it as `signIn.domain`';
  if (domain.toLowerCase() !== wanted) refuse(`it is for "${domain}", not for "${wanted}"; ${advice}`);
  const target = URL.canParse(uri) ? new URL(uri) : refuse(`its URI is malformed: ${uri}`);
  const isSame = expected.domain === undefined ? target.origin === origin : target.host === wanted;
  if (!isSame || target.username || target.password) {
    refuse(`its URI ${uri} is not of ${expected.domain === undefined ? origin : wanted}; ${advice}`);
  }
  if (address.toLowerCase() !== expected.address.toLowerCase()) refuse(`it is for the address ${address}`);
  const [kind, reference] = expected.chain.split(':');
  if (kind === 'eip155' && chainId !== reference) refuse(`it is for the network ${chainId}`);
  if (nonce !== expected.nonce) refuse('its nonce is not that of the challenge');
}
