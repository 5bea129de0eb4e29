package payerbase.testcontainers;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.time.Duration;

/** A program, so that it needs no library: it ends with an exception at the first failure. */
final class PayerbaseServerTest {
    private static final String VISITS = "/v1/counters/visits";

    private final PayerbaseServer server;

    private PayerbaseServerTest(PayerbaseServer server) {
        this.server = server;
    }

    public static void main(String[] args) throws Exception {
        var url = System.getenv("PAYERBASE_URL");
        check(url != null, "PAYERBASE_URL is not set: it must be the URL of a running `payerbase dev`");
        var test = new PayerbaseServerTest(new PayerbaseServer(url));
        test.tokenWithoutPayerIsOfNewPayer();
        test.resetErasesDataOfOnePayer();
        test.clockMovesForward();
        test.shortUrlsHavePublicUrl();
        test.errorSaysWhatServerSays();
        System.out.println("5 passed, 0 failed");
    }

    private void tokenWithoutPayerIsOfNewPayer() throws Exception {
        for (var token : new String[] {server.token(), server.token()}) {
            check(token.matches("pb_test_0x[0-9a-f]{40}"), token);
            contains(call(token, "POST", VISITS + "/increment", "{}"), "\"value\":1,");
        }
    }

    private void resetErasesDataOfOnePayer() throws Exception {
        var kept = PayerbaseServer.randomPayer();
        var erased = PayerbaseServer.randomPayer();
        for (var payer : new String[] {kept, erased}) call(server.token(payer), "POST", VISITS + "/increment", "{}");
        server.reset(erased);
        contains(call(server.token(erased), "GET", VISITS, ""), "\"code\":\"not-found\"");
        contains(call(server.token(kept), "GET", VISITS, ""), "\"value\":1,");
    }

    private void clockMovesForward() {
        var day = Duration.ofDays(1);
        var before = server.advanceClock(Duration.ofSeconds(1));
        var after = server.advanceClock(day);
        check(Duration.between(before, after).compareTo(day) >= 0, before + " " + after);
    }

    private void shortUrlsHavePublicUrl() throws Exception {
        server.setPublicUrl("http://localhost:49153");
        var link = call(server.token(), "POST", "/v1/links", "{\"url\":\"https://shop.example/sale\"}");
        contains(link, "\"shortUrl\":\"http://localhost:49153/");
    }

    private void errorSaysWhatServerSays() {
        try {
            server.advanceClock(Duration.ofMillis(-1));
        } catch (IllegalStateException error) {
            contains(error.getMessage(), "POST /dev/clock: 422 invalid-value: /advanceMs: must be ");
            return;
        }
        throw new AssertionError("no error");
    }

    private String call(String token, String method, String path, String body)
        throws IOException, InterruptedException {
        var request = HttpRequest.newBuilder(URI.create(server.url() + path)).header("Authorization", "Bearer " + token)
            .header("Content-Type", "application/json").method(method, BodyPublishers.ofString(body)).build();
        return HttpClient.newHttpClient().send(request, BodyHandlers.ofString()).body();
    }

    private static void contains(String text, String part) {
        check(text.contains(part), text);
    }

    private static void check(boolean holds, String otherwise) {
        if (!holds) throw new AssertionError(otherwise);
    }
}
