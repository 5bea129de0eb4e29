package payerbasetest

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/testcontainers/testcontainers-go"
)

func TestContainerRunsServerThatKnowsItsMappedAddress(t *testing.T) {
	image := os.Getenv("PAYERBASE_IMAGE")
	if image == "" {
		t.Fatal("PAYERBASE_IMAGE is not set: it must be the name of an image, such as `payerbase:latest`")
	}
	ctx := context.Background()
	container, err := Run(ctx, image)
	testcontainers.CleanupContainer(t, container)
	check(t, err)
	payer := RandomPayer()
	link := call(t, container.Server, container.Token(payer), "POST", "/v1/links", `{"url":"https://shop.example/sale"}`)
	if !strings.HasPrefix(link["shortUrl"].(string), container.URL()+"/") {
		t.Fatal(link)
	}
	_, err = container.AdvanceClock(ctx, 24*time.Hour)
	check(t, err)
	check(t, container.Reset(ctx, payer))
}
