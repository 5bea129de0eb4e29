package payerbasetest

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

func server(t *testing.T) *Server {
	t.Helper()
	url := os.Getenv("PAYERBASE_URL")
	if url == "" {
		t.Fatal("PAYERBASE_URL is not set: it must be the URL of a running `payerbase dev`")
	}
	return NewServer(url)
}

func call(t *testing.T, server *Server, token, method, path, body string) map[string]any {
	t.Helper()
	request, err := http.NewRequest(method, server.URL()+path, strings.NewReader(body))
	check(t, err)
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	check(t, err)
	defer response.Body.Close()
	var answer map[string]any
	check(t, json.NewDecoder(response.Body).Decode(&answer))
	return answer
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal(t *testing.T, got, want any) {
	t.Helper()
	if got != want {
		t.Fatalf("got %v, want %v", got, want)
	}
}

func TestTokenWithoutPayerIsOfNewPayer(t *testing.T) {
	for range 2 {
		token := server(t).Token()
		if !regexp.MustCompile(`^pb_test_0x[0-9a-f]{40}$`).MatchString(token) {
			t.Fatal(token)
		}
		equal(t, call(t, server(t), token, "POST", "/v1/counters/visits/increment", "{}")["value"], 1.0)
	}
}

func TestResetErasesDataOfOnePayer(t *testing.T) {
	kept, erased := RandomPayer(), RandomPayer()
	for _, payer := range []string{kept, erased} {
		call(t, server(t), server(t).Token(payer), "POST", "/v1/counters/visits/increment", "{}")
	}
	check(t, server(t).Reset(context.Background(), erased))
	equal(t, call(t, server(t), server(t).Token(erased), "GET", "/v1/counters/visits", "")["code"], "not-found")
	equal(t, call(t, server(t), server(t).Token(kept), "GET", "/v1/counters/visits", "")["value"], 1.0)
}

func TestClockMovesForward(t *testing.T) {
	before, err := server(t).AdvanceClock(context.Background(), time.Second)
	check(t, err)
	after, err := server(t).AdvanceClock(context.Background(), 24*time.Hour)
	check(t, err)
	if after.Sub(before) < 24*time.Hour {
		t.Fatal(before, after)
	}
}

func TestShortURLsHavePublicURL(t *testing.T) {
	check(t, server(t).SetPublicURL(context.Background(), "http://localhost:49153"))
	link := call(t, server(t), server(t).Token(), "POST", "/v1/links", `{"url":"https://shop.example/sale"}`)
	if !strings.HasPrefix(link["shortUrl"].(string), "http://localhost:49153/") {
		t.Fatal(link)
	}
}

func TestErrorSaysWhatServerSays(t *testing.T) {
	_, err := server(t).AdvanceClock(context.Background(), -time.Millisecond)
	if err == nil || !strings.HasPrefix(err.Error(), "POST /dev/clock: 422 invalid-value: /advanceMs: must be ") {
		t.Fatal(err)
	}
}
