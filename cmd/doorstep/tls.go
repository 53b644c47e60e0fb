package main

import (
	"crypto/tls"
	"log/slog"
	"os"
	"sync"
	"time"
)

// certificate is the pair of files that the listener shows. A handshake looks at
// most once a second whether they changed; a pair that cannot be read, such as one
// half written, leaves the old one in place.
type certificate struct {
	certFile, keyFile string
	now               func() time.Time
	log               *slog.Logger

	mu      sync.Mutex
	pair    *tls.Certificate
	checked time.Time
	stamps  [2]time.Time
}

// tls returns the listener's configuration, nil if the listener speaks plain
// HTTP; a *configError: the pair cannot be used.
func (c *config) tls(now func() time.Time, log *slog.Logger) (*tls.Config, error) {
	if c.TLSCert == "" {
		return nil, nil //nolint:nilnil // no TLS is the answer
	}
	cert := &certificate{certFile: c.TLSCert, keyFile: c.TLSKey, now: now, log: log}
	if err := cert.read(); err != nil {
		return nil, c.refuse("tls.cert_file", "%v", err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: cert.get}, nil
}

// read loads the pair if the files are not those that were loaded last.
func (c *certificate) read() error {
	var stamps [2]time.Time
	for i, name := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return err
		}
		stamps[i] = info.ModTime()
	}
	if stamps == c.stamps {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return err
	}
	c.pair, c.stamps = &pair, stamps
	return nil
}

// get implements tls.Config's GetCertificate.
func (c *certificate) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now(); now.Sub(c.checked) >= time.Second {
		c.checked = now
		if err := c.read(); err != nil {
			c.log.WarnContext(hello.Context(), "the certificate changed but cannot be read; the old one stays", "error", err)
		}
	}
	return c.pair, nil
}
