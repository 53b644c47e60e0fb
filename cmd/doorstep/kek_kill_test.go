package main_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	command "github.com/doorstep-id/doorstep/cmd/doorstep"
	"github.com/doorstep-id/doorstep/provider/keys"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/storage"
)

// TestKEKRotationSurvivesKills: while a server serves and writes, the rotation of the
// key-encryption key is killed (kill -9) again and again. The next run goes on, and in
// the end everything that was ever sealed opens with the new key alone.
func TestKEKRotationSurvivesKills(t *testing.T) {
	t.Parallel()
	killRotations(t, 3, 3000)
}

// killRotations kills the rotation of so many sealed records so often.
func killRotations(t *testing.T, kills, records int) {
	t.Helper()
	providertest.Databases(t, func(t *testing.T, database string) {
		t.Parallel()
		b := &binary{t: t, dir: t.TempDir(), environ: []string{"DOORSTEP_DATABASE__URL=" + database}}
		given := strings.HasPrefix(database, "postgres") // beside SQLite the command makes the keys itself
		old, next := keys.NewKEK(), keys.NewKEK()
		if given {
			b.environ = append(b.environ, "DOORSTEP_KEYS__KEK_FILE="+b.file("old", old), "DOORSTEP_KEYS__KEK_ACCEPTED_FILE="+b.file("next", next))
		}
		store, err := storage.Open(t.Context(), database)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = store.Close() })
		b.run("key", "list")
		if !given {
			old = b.beside(database)
		}
		sealSecrets(t, store, old, records)
		made := new(struct {
			Secret string `json:"client_secret"`
		})
		if err := json.Unmarshal(b.run("client", "create", "--id", "job", "--name", "Job", "--type", "service", "-o", "json"), made); err != nil {
			t.Fatal(err)
		}
		if given { // step 2: the server that serves has the new key as its own
			b.environ = append(b.environ, "DOORSTEP_KEYS__KEK_FILE="+b.file("next", next), "DOORSTEP_KEYS__KEK_ACCEPTED_FILE="+b.file("old", old))
		}
		issuer := b.serve()
		stop, stopped := make(chan struct{}), sync.WaitGroup{}
		written := 0
		stopped.Go(func() {
			for writeEvent(t, issuer, made.Secret) {
				written++
				select {
				case <-stop:
					return
				default:
				}
			}
		})
		end := sync.OnceFunc(func() { close(stop); stopped.Wait() })
		defer end()

		for kill := range kills {
			rotation := b.command("key", "rotate-kek")
			var says bytes.Buffer
			rotation.Stderr = &says
			if err := rotation.Start(); err != nil {
				t.Fatal(err)
			}
			want := int64(records * (kill + 1) / (kills + 2))
			for limit := time.Now().Add(time.Minute); othersThan(t, store, old) < want; time.Sleep(time.Millisecond) {
				if time.Now().After(limit) {
					_ = rotation.Process.Kill()
					_ = rotation.Wait()
					t.Fatalf("the rotation does not get on: %s", &says)
				}
			}
			if err := rotation.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			if err := rotation.Wait(); err == nil {
				t.Fatal("the rotation was over before it was killed: seal more")
			}
		}
		out := b.run("key", "rotate-kek")
		if !bytes.Contains(out, []byte("Nothing needs an older key any more")) {
			t.Errorf("the last run says %s", out)
		}
		end()
		if !given {
			next = b.beside(database)
		}
		s, err := keys.New(t.Context(), keys.Config{KEK: next}, store, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		opened, damaged, err := s.CheckSealed(t.Context())
		if err != nil || len(damaged) != 0 || opened < int64(records) || written == 0 {
			t.Errorf("%d records open, %d requests were served meanwhile, damaged: %v (%v)", opened, written, damaged, err)
		}
		if uses, err := s.KEKUses(t.Context()); err != nil || len(uses) != 1 {
			t.Errorf("sealed with %v: %v", uses, err)
		}
	})
}

// filler are the rows that make a rotation take long enough to be killed.
func filler() storage.SealedColumn {
	all := storage.SealedColumns()
	return all[slices.IndexFunc(all, func(c storage.SealedColumn) bool { return c.Table == "secrets" })]
}

// othersThan counts the secrets that are sealed with another key than that.
func othersThan(t *testing.T, store *storage.Store, kek []byte) (n int64) {
	t.Helper()
	counts, err := store.CountSealed(t.Context(), filler(), 9)
	if err != nil {
		t.Fatal(err)
	}
	for prefix, count := range counts {
		if fmt.Sprintf("%x", prefix[1:]) != keys.KEKID(kek) {
			n += count
		}
	}
	return n
}

// sealSecrets adds n secrets.
func sealSecrets(t *testing.T, store *storage.Store, kek []byte, n int) {
	t.Helper()
	s, err := keys.New(t.Context(), keys.Config{KEK: kek}, store, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	for done := 0; done < n; {
		ctx := storage.WithUnit(t.Context())
		for range 100 {
			row := storage.Secret{Name: fmt.Sprintf("filler-%05d", done), CreatedAt: storage.At(time.Now())}
			if row.Sealed, err = s.Seal(storage.PurposeSecret, row.Name, []byte("x")); err != nil {
				t.Fatal(err)
			}
			if err := store.CreateSecret(ctx, &row); err != nil {
				t.Fatal(err)
			}
			done++
		}
		if err := store.Flush(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

// writeEvent has the server read its keys and write: a token is signed, and revoked.
// It says whether that went well.
func writeEvent(t *testing.T, issuer, secret string) bool {
	post := func(path string, form url.Values) map[string]any {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, issuer+path, strings.NewReader(form.Encode()))
		if err != nil {
			t.Error(err)
			return nil
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth("job", secret)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Error(err)
			return nil
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %s %v", path, res.StatusCode, body, err)
			return nil
		}
		out := map[string]any{}
		_ = json.Unmarshal(body, &out) // a revocation says nothing
		return out
	}
	token := post("/oauth2/token", url.Values{"grant_type": {"client_credentials"}})
	return token != nil && post("/oauth2/revoke", url.Values{"token": {fmt.Sprint(token["access_token"])}}) != nil
}

// binary is the command as a process of its own.
type binary struct {
	t       *testing.T
	dir     string
	environ []string
}

func (b *binary) command(args ...string) *exec.Cmd {
	b.t.Helper()
	self, err := os.Executable()
	if err != nil {
		b.t.Fatal(err)
	}
	cmd := exec.CommandContext(b.t.Context(), self)
	cmd.Args = append([]string{"doorstep"}, args...) // by this name it is the command
	cmd.Dir, cmd.Env = b.dir, append(os.Environ(), b.environ...)
	return cmd
}

// run runs a command that has to succeed, and returns its stdout.
func (b *binary) run(args ...string) []byte {
	b.t.Helper()
	cmd := b.command(args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		b.t.Fatalf("doorstep %s: %v\n%s", strings.Join(args, " "), err, &stderr)
	}
	return out
}

// serve starts a server for as long as the test and returns its issuer.
func (b *binary) serve(args ...string) string {
	b.t.Helper()
	port, err := command.FreePort()
	if err != nil {
		b.t.Fatal(err)
	}
	issuer := fmt.Sprintf("http://localhost:%d", port)
	cmd := b.command(append([]string{"serve", "--issuer", issuer, "--ops-listen", "off"}, args...)...)
	log, err := os.Create(filepath.Join(b.dir, fmt.Sprintf("log-%d", port)))
	if err != nil {
		b.t.Fatal(err)
	}
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it says that it was killed
		_ = log.Close()
		if text, err := os.ReadFile(log.Name()); b.t.Failed() && err == nil {
			b.t.Logf("the server's log:\n%s", text)
		}
	})
	for limit := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		res, err := http.Get(issuer + "/.well-known/openid-configuration")
		if err == nil {
			_ = res.Body.Close()
			return issuer
		}
		if time.Now().After(limit) {
			b.t.Fatal(err)
		}
	}
}

func (b *binary) file(name string, kek []byte) string {
	b.t.Helper()
	path := filepath.Join(b.dir, name)
	if err := os.WriteFile(path, []byte(base64.StdEncoding.EncodeToString(kek)), 0o600); err != nil {
		b.t.Fatal(err)
	}
	return path
}

// beside is the current key beside an SQLite database.
func (b *binary) beside(database string) []byte {
	b.t.Helper()
	text, err := os.ReadFile(filepath.Join(filepath.Dir(strings.TrimPrefix(database, "sqlite://")), "kek"))
	if err != nil {
		b.t.Fatal(err)
	}
	kek, err := keys.ParseKEK(string(text))
	if err != nil {
		b.t.Fatal(err)
	}
	return kek
}
