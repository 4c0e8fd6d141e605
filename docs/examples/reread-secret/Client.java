import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;

/** Calls a service with the token of a mounted Secret, which it reads anew for each request. */
public class Client {
    /** What the file holds now. The kubelet replaces the file when the Secret changes. */
    static String authorization() throws IOException {
        return Files.readString(Path.of(System.getenv("AUTHORIZATION_FILE"))).trim();
    }

    public static void main(String[] arguments) throws Exception {
        HttpClient client = HttpClient.newHttpClient();
        while (true) {
            HttpRequest request = HttpRequest.newBuilder(URI.create(System.getenv("SERVICE_URL")))
                    .header("Authorization", authorization()).build();
            try {
                System.out.println(client.send(request, BodyHandlers.discarding()).statusCode());
            } catch (IOException problem) {
                System.err.println(problem.getMessage());
            }
            Thread.sleep(200);
        }
    }
}
