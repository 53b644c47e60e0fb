//go:build soak && linux

package soak_test

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/soak"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
)

// R7: the disk is full. What has to be written is refused by 503 and not half done,
// what is only read goes on, and nobody has to help when there is room again.
func TestSoakDiskFull(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		dir := smallDisk(t, "64m")
		database := "sqlite:///" + strings.TrimPrefix(filepath.Join(dir, "doorstep.db"), "/")
		store, err := storage.Open(t.Context(), database)
		if err == nil {
			_, err = store.Migrate(t.Context())
		}
		if err := errors.Join(err, store.Close()); err != nil {
			t.Fatal(err)
		}
		diskFull(t, dir, database, func() {})
		wantIntegrity(t, database)
	})
	t.Run("postgres", func(t *testing.T) {
		dir := smallDisk(t, "400m")
		pg := providertest.OwnPostgresIn(t, dir)
		diskFull(t, dir, pg.Database(), func() {
			if !pg.Running() { // its log of changes had no room: it stops, as it promises
				t.Log("Postgres stopped, and is started again")
				pg.Start()
			}
		})
		pg.Stop("fast")
	})
}

// smallDisk mounts a file system of that size, until the test ends; root alone may.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "disk-")
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=0755,size="+size); err != nil {
		t.Fatalf("mount a small disk, as root: %v", err)
	}
	t.Cleanup(func() {
		if err := errors.Join(syscall.Unmount(dir, syscall.MNT_DETACH), os.Remove(dir)); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func diskFull(t *testing.T, dir, database string, help func()) {
	t.Helper()
	s := soak.Start(t, 1, database)
	c := soak.NewCrowd(t, s, 4, soak.NewLedger(t, filepath.Join(t.TempDir(), "ledger")))
	work(t, c, func() {
		time.Sleep(2 * time.Second)
		c.Ledger.During("disk full", func() time.Duration {
			filling := fill(t, dir)
			soak.Within(t, 20*time.Second, "a write is refused", func() bool { return lostAnswers(c) > 0 })
			for range 20 {
				if got := status(t, s, web.PathJWKS); got != http.StatusOK {
					t.Errorf("with a full disk the JWKS is answered %d", got)
				}
				if !s.Alive(0) {
					t.Error("a server whose disk is full says that it is dead")
				}
				time.Sleep(100 * time.Millisecond)
			}
			if err := os.Remove(filling); err != nil {
				t.Error(err)
			}
			help()
			return 10 * time.Second
		})
		before := len(c.Ledger.Entries())
		soak.Within(t, 10*time.Second, "writes are taken again", func() bool {
			for _, e := range c.Ledger.Entries()[before:] {
				if e.Op == soak.Refresh && e.Outcome == soak.Done {
					return true
				}
			}
			return false
		})
		time.Sleep(time.Second)
	})
	for _, e := range c.Ledger.Entries() {
		if e.Outcome == soak.Unknown && strings.HasPrefix(e.Error, "status 5") && !strings.HasPrefix(e.Error, "status 503") {
			t.Errorf("%s: %s", e.Op, e.Error)
		}
	}
	t.Logf("%d refused; %s; %s", lostAnswers(c), settle(t, c, database), soak.Summary(c.Ledger.Entries()))
}

// fill takes all room that is left and returns the file that has it.
func fill(t *testing.T, dir string) string {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "filling"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // what it holds is nothing
	for _, n := range []int{1 << 20, 4 << 10} {
		for err == nil {
			_, err = f.Write(make([]byte, n))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
		err = nil
	}
	return f.Name()
}

func status(t *testing.T, s *soak.Servers, path string) int {
	t.Helper()
	u, err := url.Parse(s.P.URL(path))
	if err != nil {
		t.Fatal(err)
	}
	res, err := (&http.Client{Transport: s.To(0), Timeout: 10 * time.Second}).Get(u.String())
	if err != nil {
		t.Error(err)
		return 0
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body) // the status is all
	return res.StatusCode
}
