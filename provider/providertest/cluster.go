package providertest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"
)

// Cluster is a Postgres of one test alone, as safe as an operator's, which the test
// may stop, kill and starve.
type Cluster struct {
	*cluster
	t testing.TB
}

var clusters atomic.Int64

// OwnPostgres starts one. It is gone when the process ends.
func OwnPostgres(t testing.TB) *Cluster {
	t.Helper()
	root, err := scratch()
	if err != nil {
		t.Fatal(err)
	}
	return OwnPostgresIn(t, root)
}

// OwnPostgresIn starts one whose files are in a directory of this one, which others
// than its owner may enter.
func OwnPostgresIn(t testing.TB, root string) *Cluster {
	t.Helper()
	c, err := startPostgres(filepath.Join(root, fmt.Sprintf("own%d", clusters.Add(1))), safe)
	need(t, needPostgres, err)
	return &Cluster{c, t}
}

// Database returns the URL of a migrated, empty database.
func (c *Cluster) Database() string {
	c.t.Helper()
	name, err := c.copyTemplate(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	return c.url(name)
}

// Socket is the directory of its socket.
func (c *Cluster) Socket() string { return c.dir }

// Running says whether it takes connections.
func (c *Cluster) Running() bool { return c.exec(c.t.Context(), "SELECT 1") == nil }

// Stop stops it: "fast" ends its sessions, "immediate" ends it without a checkpoint.
func (c *Cluster) Stop(mode string) {
	c.t.Helper()
	if err := c.run("pg_ctl", "-D", c.data(), "-m", mode, "-w", "stop"); err != nil {
		c.t.Fatal(err)
	}
}

// Kill ends its first process as kill -9 does; the others end by themselves.
func (c *Cluster) Kill() {
	c.t.Helper()
	content, err := os.ReadFile(filepath.Join(c.data(), "postmaster.pid"))
	if err != nil {
		c.t.Fatal(err)
	}
	line, _, _ := bytes.Cut(content, []byte("\n"))
	pid, err := strconv.Atoi(string(line))
	if err != nil {
		c.t.Fatal(err)
	}
	process, err := os.FindProcess(pid)
	if err == nil {
		err = process.Kill()
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

// Start starts it again. After a kill the old sessions may still be ending.
func (c *Cluster) Start() {
	c.t.Helper()
	var err error
	for limit := time.Now().Add(30 * time.Second); time.Now().Before(limit); time.Sleep(50 * time.Millisecond) {
		if err = c.start(); err == nil {
			return
		}
	}
	c.t.Fatal(err)
}
