package payerbasetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Server is a running `payerbase dev`. It needs no container.
type Server struct {
	url string
}

var client = &http.Client{Timeout: 30 * time.Second}

// NewServer returns the server at a base URL such as http://localhost:4402.
func NewServer(url string) *Server {
	return &Server{strings.TrimRight(url, "/")}
}

// URL returns the base URL, without a slash at the end.
func (s *Server) URL() string { return s.url }

// Token returns a bearer token of payer, a wallet address. Without payer: of a new random payer.
func (s *Server) Token(payer ...string) string {
	if len(payer) == 0 {
		return "pb_test_" + RandomPayer()
	}
	return "pb_test_" + payer[0]
}

// RandomPayer returns a random wallet address: 0x and 40 hexadecimal digits.
func RandomPayer() string {
	var address [20]byte
	_, _ = rand.Read(address[:]) // It never fails: it ends the program instead.
	return "0x" + hex.EncodeToString(address[:])
}

// Reset erases all data of payer, a wallet address.
func (s *Server) Reset(ctx context.Context, payer string) error {
	return s.send(ctx, http.MethodDelete, "/dev/payers/"+url.PathEscape(payer), nil, nil)
}

// AdvanceClock moves the clock of the server forward by whole milliseconds. It returns the new time, in UTC.
func (s *Server) AdvanceClock(ctx context.Context, duration time.Duration) (time.Time, error) {
	var clock struct {
		Now time.Time `json:"now"`
	}
	body := map[string]int64{"advanceMs": duration.Milliseconds()}
	err := s.send(ctx, http.MethodPost, "/dev/clock", body, &clock)
	return clock.Now, err
}

// SetPublicURL sets the URL that the server writes into short URLs and sign-in messages. It cannot be changed later.
func (s *Server) SetPublicURL(ctx context.Context, url string) error {
	return s.send(ctx, http.MethodPut, "/dev/public-url", map[string]string{"url": url}, nil)
}

func (s *Server) send(ctx context.Context, method, path string, body, answer any) error {
	var data []byte
	if body != nil {
		var err error
		if data, err = json.Marshal(body); err != nil {
			return err
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, s.url+path, bytes.NewReader(data))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %d %s", method, path, response.StatusCode, detail(text))
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(text, answer)
}

// detail returns the code and the detail of a problem (RFC 9457), or the text itself if it is not one.
func detail(text []byte) string {
	var problem struct{ Code, Detail string }
	if json.Unmarshal(text, &problem) != nil || problem.Code == "" {
		return string(text)
	}
	return problem.Code + ": " + problem.Detail
}
