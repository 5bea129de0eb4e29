package payerbase.testcontainers;

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.time.Duration;
import org.testcontainers.utility.DockerImageName;

/** A program that needs a Docker engine: it ends with an exception at the first failure. */
final class PayerbaseContainerTest {
    public static void main(String[] args) throws Exception {
        var image = System.getenv("PAYERBASE_IMAGE");
        if (image == null) {
            throw new AssertionError("PAYERBASE_IMAGE is not set: it must be an image, such as `payerbase:latest`");
        }
        try (var container = new PayerbaseContainer(DockerImageName.parse(image))) {
            container.start();
            var payer = PayerbaseServer.randomPayer();
            var request = HttpRequest.newBuilder(URI.create(container.url() + "/v1/links"))
                .header("Authorization", "Bearer " + container.token(payer)).header("Content-Type", "application/json")
                .POST(BodyPublishers.ofString("{\"url\":\"https://shop.example/sale\"}")).build();
            var link = HttpClient.newHttpClient().send(request, BodyHandlers.ofString()).body();
            if (!link.contains("\"shortUrl\":\"" + container.url() + "/")) throw new AssertionError(link);
            container.advanceClock(Duration.ofDays(1));
            container.reset(payer);
        }
        System.out.println("1 passed, 0 failed");
    }
}
