// Package payerbasetest starts payerbase in a container for tests.
package payerbasetest

import (
	"context"
	"fmt"

	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/wait"
)

// Image is the default image.
const Image = "payerbase:latest"

const port = "4402/tcp"

// Container is a running container of `payerbase dev`. Its data is lost when it stops.
type Container struct {
	testcontainers.Container
	*Server
}

// Run starts a container of image, waits until the server is ready and tells it its mapped address.
// After an error the container may be not nil: testcontainers.CleanupContainer takes both.
func Run(ctx context.Context, image string, options ...testcontainers.ContainerCustomizer) (*Container, error) {
	defaults := []testcontainers.ContainerCustomizer{
		testcontainers.WithCmd("dev", "--temporary"),
		testcontainers.WithExposedPorts(port),
		testcontainers.WithWaitStrategy(wait.ForHTTP("/readyz").WithPort(port)),
	}
	started, err := testcontainers.Run(ctx, image, append(defaults, options...)...)
	if err != nil {
		if started == nil {
			return nil, fmt.Errorf("run payerbase: %w", err)
		}
		return &Container{Container: started}, fmt.Errorf("run payerbase: %w", err)
	}
	container := &Container{Container: started}
	url, err := started.PortEndpoint(ctx, port, "http")
	if err != nil {
		return container, fmt.Errorf("address of payerbase: %w", err)
	}
	container.Server = NewServer(url)
	if err := container.SetPublicURL(ctx, url); err != nil {
		return container, fmt.Errorf("tell payerbase its address: %w", err)
	}
	return container, nil
}
