FROM --platform=$BUILDPLATFORM golang:1.26.8@sha256:6c2a5538f964f1c82f97ad14988bf05de100d922d159d0e398b54c7b0ca0c6c9 AS build
ARG TARGETOS TARGETARCH VERSION=dev
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY api/ api/
COPY cmd/manager/ cmd/manager/
COPY controllers/ controllers/
COPY internal/ internal/
RUN mkdir -p /out/etc/ssl/certs && cp /etc/ssl/certs/ca-certificates.crt /out/etc/ssl/certs/ && \
    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -ldflags "-s -w -X main.version=$VERSION" -o /out/manager ./cmd/manager

# Nothing but the binary and the certificate authorities to trust.
FROM scratch
ARG VERSION=dev
LABEL org.opencontainers.image.title="kong-jwt-operator" \
      org.opencontainers.image.description="JWT authentication on a self-hosted Kong Gateway, as Kubernetes resources" \
      org.opencontainers.image.source="https://github.com/kongjwt/kong-jwt-operator" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION"
COPY --from=build /out/ /
USER 65532:65532
ENTRYPOINT ["/manager"]
