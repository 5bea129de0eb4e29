import { AbstractStartedContainer, GenericContainer, type StartedTestContainer, Wait } from 'testcontainers';
import { PayerbaseServer } from './server.js';

export { PayerbaseServer, randomPayer } from './server.js';

const PORT = 4402;

/** A container of `payerbase dev`. Its data is lost when it stops. */
export class PayerbaseContainer extends GenericContainer {
  constructor(image = 'payerbase:latest') {
    super(image);
    this.withCommand(['dev', '--temporary'])
      .withExposedPorts(PORT)
      .withWaitStrategy(Wait.forHttp('/readyz', PORT).forStatusCode(200));
  }

  /** Starts the container, waits until the server is ready and tells it its mapped address. */
  override async start(): Promise<StartedPayerbaseContainer> {
    const container = await super.start();
    try {
      const server = new PayerbaseServer(`http://${container.getHost()}:${container.getMappedPort(PORT)}`);
      await server.setPublicUrl(server.url());
      return new StartedPayerbaseContainer(container, server);
    } catch (error) {
      await container.stop();
      throw error;
    }
  }
}

/** A running container of `payerbase dev`. */
export class StartedPayerbaseContainer extends AbstractStartedContainer {
  readonly #server: PayerbaseServer;

  constructor(container: StartedTestContainer, server: PayerbaseServer) {
    super(container);
    this.#server = server;
  }

  /** The base URL from outside of the container, such as `http://localhost:49153`. */
  url(): string {
    return this.#server.url();
  }

  /** A bearer token of `payer`, a wallet address. Without `payer`: of a new random payer. */
  token(payer?: string): string {
    return this.#server.token(payer);
  }

  /** Erases all data of `payer`, a wallet address. */
  reset(payer: string): Promise<void> {
    return this.#server.reset(payer);
  }

  /** Moves the clock of the server forward by `ms` milliseconds. Returns the new time, RFC 3339 in UTC. */
  advanceClock(ms: number): Promise<string> {
    return this.#server.advanceClock(ms);
  }
}
