package payerbase.testcontainers;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.security.SecureRandom;
import java.time.Duration;
import java.time.Instant;
import java.util.regex.Pattern;

/** A running {@code payerbase dev}. It needs no container. */
public final class PayerbaseServer {
    private static final HttpClient HTTP =
        HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).connectTimeout(Duration.ofSeconds(30)).build();

    private final String url;

    /** @param url the base URL, such as {@code http://localhost:4402} */
    public PayerbaseServer(String url) {
        this.url = url.replaceAll("/+$", "");
    }

    /** The base URL, without a slash at the end. */
    public String url() {
        return url;
    }

    /** A bearer token of a new random payer. */
    public String token() {
        return token(randomPayer());
    }

    /** A bearer token of {@code payer}, a wallet address. */
    public String token(String payer) {
        return "pb_test_" + payer;
    }

    /** A random wallet address: {@code 0x} and 40 hexadecimal digits. */
    public static String randomPayer() {
        var bytes = new byte[20];
        new SecureRandom().nextBytes(bytes);
        var payer = new StringBuilder("0x");
        for (byte each : bytes) payer.append(String.format("%02x", each));
        return payer.toString();
    }

    /** Erases all data of {@code payer}, a wallet address. */
    public void reset(String payer) {
        send("DELETE", "/dev/payers/" + URLEncoder.encode(payer, StandardCharsets.UTF_8), "");
    }

    /** Moves the clock of the server forward by whole milliseconds. Returns the new time. */
    public Instant advanceClock(Duration duration) {
        var answer = send("POST", "/dev/clock", "{\"advanceMs\":" + duration.toMillis() + "}");
        return Instant.parse(member(answer, "now"));
    }

    /** Sets the URL that the server writes into short URLs and sign-in messages. It cannot be changed later. */
    public void setPublicUrl(String publicUrl) {
        send("PUT", "/dev/public-url", "{\"url\":\"" + publicUrl + "\"}");
    }

    private String send(String method, String path, String body) {
        var request = HttpRequest.newBuilder(URI.create(url + path)).timeout(Duration.ofSeconds(30))
            .header("Content-Type", "application/json").method(method, BodyPublishers.ofString(body)).build();
        try {
            var response = HTTP.send(request, BodyHandlers.ofString());
            if (response.statusCode() < 300) return response.body();
            var detail = member(response.body(), "code") + ": " + member(response.body(), "detail");
            throw new IllegalStateException(method + " " + path + ": " + response.statusCode() + " " + detail);
        } catch (IOException error) {
            throw new UncheckedIOException(method + " " + url + path, error);
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(method + " " + path + ": interrupted", error);
        }
    }

    /** A string member of a JSON object with its escapes, or all of {@code json} without such a member. */
    private static String member(String json, String name) {
        var found = Pattern.compile("\"" + name + "\":\\s*\"((?:[^\"\\\\]|\\\\.)*)\"").matcher(json);
        return found.find() ? found.group(1) : json;
    }
}
