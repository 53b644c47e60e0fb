package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestCertificateIsReadAgain: a renewed certificate is shown without a restart, and
// one that is half written does not take the listener down.
func TestCertificateIsReadAgain(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	dir := t.TempDir()
	cfg := &config{settings: settings{TLSCert: filepath.Join(dir, "cert.pem"), TLSKey: filepath.Join(dir, "key.pem")}}
	writePair(t, &cfg.settings, 1, now)
	conf, err := cfg.tls(func() time.Time { return now }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if conf.MinVersion < tls.VersionTLS12 {
		t.Errorf("TLS %x is allowed", conf.MinVersion)
	}
	shown := func() int64 {
		t.Helper()
		pair, err := conf.GetCertificate(&tls.ClientHelloInfo{})
		if err != nil {
			t.Fatal(err)
		}
		return pair.Leaf.SerialNumber.Int64()
	}
	if got := shown(); got != 1 {
		t.Fatalf("certificate %d is shown, want 1", got)
	}
	writePair(t, &cfg.settings, 2, now.Add(time.Minute))
	if got := shown(); got != 1 {
		t.Errorf("certificate %d is shown within the second, want 1: every handshake looks at the files", got)
	}
	now = now.Add(time.Second)
	if got := shown(); got != 2 {
		t.Errorf("certificate %d is shown, want 2", got)
	}

	if err := os.WriteFile(cfg.TLSCert, []byte("-----BEGIN CERT"), 0o600); err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Second)
	if got := shown(); got != 2 {
		t.Errorf("certificate %d is shown while the file is half written, want 2", got)
	}
	writePair(t, &cfg.settings, 3, now.Add(time.Hour))
	now = now.Add(time.Second)
	if got := shown(); got != 3 {
		t.Errorf("certificate %d is shown after a broken one, want 3", got)
	}
}

func TestCertificateThatDoesNotFitItsKey(t *testing.T) {
	dir := t.TempDir()
	one := settings{TLSCert: filepath.Join(dir, "cert.pem"), TLSKey: filepath.Join(dir, "key.pem")}
	other := settings{TLSCert: filepath.Join(dir, "other.pem"), TLSKey: filepath.Join(dir, "otherkey.pem")}
	writePair(t, &one, 1, time.Now())
	writePair(t, &other, 2, time.Now())
	one.TLSKey = other.TLSKey
	if _, err := (&config{settings: one}).tls(time.Now, nil); len(faultsOf(err)) != 1 {
		t.Errorf("the pair is taken: %v", err)
	}
}

// writePair is makePair in a test that needs the pair to go on.
func writePair(t *testing.T, s *settings, serial int64, stamp time.Time) {
	t.Helper()
	if err := makePair(s, serial, stamp); err != nil {
		t.Fatal(err)
	}
}

// makePair writes a self-signed certificate and its key, last changed at stamp.
func makePair(s *settings, serial int64, stamp time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), DNSNames: []string{"localhost"}, NotAfter: stamp.Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	for name, block := range map[string]*pem.Block{s.TLSCert: {Type: "CERTIFICATE", Bytes: der}, s.TLSKey: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			return err
		}
		if err := os.Chtimes(name, stamp, stamp); err != nil {
			return err
		}
	}
	return nil
}
