package soak_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/soak"
)

// R9: signing keys are rotated under load, by an operator's command beside three
// servers. Clients that keep the keys for as long as they may verify everything.
func TestKeysRotateUnderLoad(t *testing.T) {
	t.Parallel()
	keysRotated(t, 3, 2)
}

func keysRotated(t *testing.T, people, rounds int) {
	t.Helper()
	url := providertest.Postgres(t)
	s := soak.Start(t, 3, url, "DOORSTEP_KEYS__JWKS_MAX_AGE=2s")
	c := soak.NewCrowd(t, s, people, soak.NewLedger(t, filepath.Join(t.TempDir(), "ledger")))
	client := c.Verifying()
	work(t, c, func() {
		time.Sleep(time.Second)
		for i := range rounds {
			s.Command("key", "rotate")
			soak.Within(t, time.Minute, "the next key signs", func() bool { return client.Keys() == i+2 })
		}
	})
	client.Again()
	for _, failed := range client.Failed() {
		t.Error(failed)
	}
	t.Logf("%d rotations; %s; %s", rounds, settle(t, c, url), soak.Summary(c.Ledger.Entries()))
}
