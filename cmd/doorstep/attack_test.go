package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/doorstep-id/doorstep/storage"
)

// TestAttack05HostileURLsCannotBeRegistered runs testdata/attack05: whatever a
// member means, its address is one that a browser cannot be harmed by and that one
// party holds (RFC 9700 sections 2.1 and 4.1, RFC 7591 section 5), on the command line as anywhere.
func TestAttack05HostileURLsCannotBeRegistered(t *testing.T) {
	params := ScriptParams("attack05")
	params.Cmds["refuses"] = refuses
	testscript.Run(t, params)
}

// hostileURLs are addresses that nobody may register for anything.
var hostileURLs = []string{
	"javascript:alert(1)", "JavaScript://shop.example.com/%0aalert(1)", "data:text/html,<script>alert(1)</script>", "file:///etc/passwd", "//shop.example.com/", "callback",
	"http://shop.example.com/", "http://localhost.example.com/", "http://0x7f000001/", "https://ada:secret@shop.example.com/", "https://shop.example.com/#x", "https://*.example.com/",
	"https://shop.example.com\\@evil.example/", "https://shop.example.com/%2e%2e/x",
}

// fetchedMembers are asked by this server and followed by no browser: http is for
// outbound.allow to judge, when it is known where the name leads.
var fetchedMembers = []string{"jwks_uri", "backchannel_logout_uri", "sector_identifier_uri"}

// addressMembers are those of a client's metadata that are an address, or a list of them.
func addressMembers() []string {
	var members []string
	for _, field := range reflect.VisibleFields(reflect.TypeFor[storage.ClientMetadata]()) {
		if name, _, _ := strings.Cut(field.Tag.Get("json"), ","); strings.HasSuffix(name, "_uri") || strings.HasSuffix(name, "_uris") {
			members = append(members, name)
		}
	}
	return members
}

// refuses COMMAND... runs a command on metadata whose addresses are all hostile,
// once for each of those, and wants every member refused by its name.
func refuses(ts *testscript.TestScript, _ bool, args []string) {
	for _, uri := range hostileURLs {
		metadata := map[string]any{}
		for _, member := range addressMembers() {
			switch {
			case strings.HasPrefix(uri, "http:") && slices.Contains(fetchedMembers, member):
			case strings.HasSuffix(member, "s"):
				metadata[member] = []string{uri}
			default:
				metadata[member] = uri
			}
		}
		text, err := json.Marshal(metadata)
		ts.Check(err)
		ts.Check(os.WriteFile(ts.MkAbs("hostile.json"), text, 0o600))
		if ts.Exec(args[0], append(args[1:], "--file", "hostile.json")...) == nil {
			ts.Fatalf("%q was registered", uri)
		}
		said := ts.ReadFile("stderr")
		for member := range metadata {
			if !strings.Contains(said, member+": ") {
				ts.Fatalf("%s: %q is not refused: %s", member, uri, said)
			}
		}
	}
}

// TestAttack91OldTLSIsRefused runs testdata/attack91: the server shakes hands by TLS 1.2
// and 1.3, and by nothing older (RFC 9325 section 3.1, Dex CVE-2024-23656).
func TestAttack91OldTLSIsRefused(t *testing.T) {
	params := ScriptParams("attack91")
	params.Cmds["shakes"] = shakes
	testscript.Run(t, params)
}

// shakes PORT CERT LEAST MOST shakes hands with a server by a version of TLS between
// these; ! shakes wants the server to refuse, by an alert about the version.
func shakes(ts *testscript.TestScript, neg bool, args []string) {
	versions := map[string]uint16{"1.0": tls.VersionTLS10, "1.1": tls.VersionTLS11, "1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(ts.ReadFile(args[1]))) {
		ts.Fatalf("%s is no certificate", args[1])
	}
	conn, err := tls.Dial("tcp", net.JoinHostPort("127.0.0.1", args[0]), &tls.Config{
		RootCAs: roots, ServerName: "localhost", MinVersion: versions[args[2]], MaxVersion: versions[args[3]],
	})
	if err != nil {
		if !neg || !strings.Contains(err.Error(), "protocol version not supported") {
			ts.Fatalf("TLS %s to %s: %v", args[2], args[3], err)
		}
		return
	}
	defer conn.Close() //nolint:errcheck // nothing was sent
	if neg {
		ts.Fatalf("the server speaks %s", tls.VersionName(conn.ConnectionState().Version))
	}
	if _, err := fmt.Fprint(conn, "GET /.well-known/jwks.json HTTP/1.0\r\nHost: localhost\r\n\r\n"); err != nil {
		ts.Fatalf("%v", err)
	}
	answer := make([]byte, 12)
	if _, err := conn.Read(answer); err != nil || string(answer) != "HTTP/1.0 200" {
		ts.Fatalf("%q, %v", answer, err)
	}
}
