package provider_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider"
	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/keys"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/storage"
)

// A token of the command line that is out when a backup is restored with everything
// revoked stays dead for as long as it could have lived, whether or not the backup
// knows its client.
func TestRestoreEndsTokensOfTheCommandLine(t *testing.T) {
	t.Parallel()
	for name, known := range map[string]bool{"in the backup": true, "newer than the backup": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, ctx := providertest.Start(t), t.Context()
			issue := func() *provider.OperatorToken {
				token, err := p.OperatorToken(ctx, []string{clients.ScopeClientsRead}, clients.MaxOperatorToken)
				if err != nil {
					t.Fatal(err)
				}
				return token
			}
			if known {
				issue()
			}
			var file bytes.Buffer
			if _, err := p.Store.Backup(ctx, &file, "test", keys.SealedWith); err != nil {
				t.Fatal(err)
			}
			issued := p.Clock.Now()
			token := issue()
			p.Clock.Advance(time.Minute)

			to, err := storage.Open(ctx, providertest.SQLite(t))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = to.Close() })
			if _, err := to.Restore(ctx, &file, provider.Restoration(storage.At(p.Clock.Now()), true)); err != nil {
				t.Fatal(err)
			}
			last := issued.Add(clients.MaxOperatorToken)
			if _, err := to.Sweep(ctx, storage.At(last.Add(-time.Second)), 100); err != nil {
				t.Fatal(err)
			}
			state, err := to.TokenState(ctx, storage.TokenIDs{JTI: token.ID, ClientID: clients.CommandLine})
			if err != nil {
				t.Fatal(err)
			}
			if !state.RevokedBefore.After(issued) {
				t.Errorf("revoked before %s, and the token is of %s", state.RevokedBefore, issued)
			}
		})
	}
}
