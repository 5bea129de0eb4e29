module payerbase/payerbasetest

go 1.25.0

require github.com/testcontainers/testcontainers-go v0.45.0
