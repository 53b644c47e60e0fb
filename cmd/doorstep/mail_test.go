package main_test

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	netmail "net/mail"

	"github.com/rogpeppe/go-internal/testscript"

	command "github.com/doorstep-id/doorstep/cmd/doorstep"
	"github.com/doorstep-id/doorstep/provider"
	"github.com/doorstep-id/doorstep/provider/keys"
	"github.com/doorstep-id/doorstep/provider/mail"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/storage"
)

// TestScriptsOfMail runs testdata/mail: there is an SMTP server at $SMTP, which knows
// nobody whose name begins with "nobody", whose password is in the file $SMTP_PASSWORD,
// and whose certificate $SSL_CERT_FILE vouches for.
//
//	mail DIRECTORY ADDRESS
//
// has a code sent to an address, by the house in that directory, and
//
//	received ADDRESS
//
// waits until it came.
func TestScriptsOfMail(t *testing.T) {
	box := providertest.NewMailbox(t)
	box.Answer(func(at providertest.Stage, to string) error {
		if at == providertest.AtRcpt && strings.HasPrefix(to, "nobody") {
			return providertest.Reply(550, "no such user")
		}
		return nil
	})
	params := command.ScriptParams("mail")
	setup := params.Setup
	params.Setup = func(e *testscript.Env) error {
		e.Vars = append(e.Vars, box.Environment(e.WorkDir)...)
		return setup(e)
	}
	params.Cmds["mail"] = func(ts *testscript.TestScript, _ bool, args []string) { ts.Check(sendCode(ts.MkAbs(args[0]), args[1])) }
	params.Cmds["received"] = func(_ *testscript.TestScript, _ bool, args []string) { box.Wait(args[0]) }
	testscript.Run(t, params)
}

// sendCode writes a mail as a room of a server would.
func sendCode(dir, address string) error {
	ctx := context.Background()
	text, err := os.ReadFile(filepath.Join(dir, "kek"))
	if err != nil {
		return err
	}
	kek, err := keys.ParseKEK(strings.TrimSpace(string(text)))
	if err != nil {
		return err
	}
	store, err := storage.Open(ctx, "sqlite:///"+strings.TrimPrefix(filepath.ToSlash(filepath.Join(dir, "doorstep.db")), "/"))
	if err != nil {
		return err
	}
	defer store.Close() //nolint:errcheck // it was flushed
	house, err := provider.Open(ctx, provider.Config{
		Issuer: &url.URL{Scheme: "http", Host: "localhost:8080"}, Keys: keys.Config{KEK: kek},
		Mail: mail.Config{From: &netmail.Address{Address: "x@example.com"}, Deliver: func(context.Context, *mail.Letter) error { return nil }},
	}, store, time.Now)
	if err != nil {
		return err
	}
	return house.Mail.Send(ctx, mail.To{Address: address}, mail.Code{Code: "48151623", Valid: time.Hour})
}
