package payerbase.testcontainers;

import com.github.dockerjava.api.command.InspectContainerResponse;
import java.time.Duration;
import java.time.Instant;
import org.testcontainers.containers.GenericContainer;
import org.testcontainers.containers.wait.strategy.Wait;
import org.testcontainers.utility.DockerImageName;

/** A container of {@code payerbase dev}. Its data is lost when it stops. */
public class PayerbaseContainer extends GenericContainer<PayerbaseContainer> {
    private static final int PORT = 4402;

    /** The image {@code payerbase:latest}. */
    public PayerbaseContainer() {
        this(DockerImageName.parse("payerbase:latest"));
    }

    /** Another image, such as a fixed version. */
    public PayerbaseContainer(DockerImageName image) {
        super(image);
        withCommand("dev", "--temporary");
        withExposedPorts(PORT);
        waitingFor(Wait.forHttp("/readyz").forPort(PORT).forStatusCode(200));
    }

    /** Tells the server its mapped address. */
    @Override
    protected void containerIsStarted(InspectContainerResponse container) {
        server().setPublicUrl(url());
    }

    /** The base URL from outside of the container, such as {@code http://localhost:49153}. */
    public String url() {
        return server().url();
    }

    /** A bearer token of a new random payer. */
    public String token() {
        return server().token();
    }

    /** A bearer token of {@code payer}, a wallet address. */
    public String token(String payer) {
        return server().token(payer);
    }

    /** Erases all data of {@code payer}, a wallet address. */
    public void reset(String payer) {
        server().reset(payer);
    }

    /** Moves the clock of the server forward by whole milliseconds. Returns the new time. */
    public Instant advanceClock(Duration duration) {
        return server().advanceClock(duration);
    }

    private PayerbaseServer server() {
        return new PayerbaseServer("http://" + getHost() + ":" + getMappedPort(PORT));
    }
}
