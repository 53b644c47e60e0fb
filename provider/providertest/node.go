package providertest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// oldestNode is the major version that openid-client still runs on.
const oldestNode = 18

// driverDir is where openid-client is installed, from the repository's root.
const driverDir = "provider/providertest/testdata/openid-client"

// A driver is the process of Node that runs driver.mjs: one for all tests of a
// package. It ends with its standard input, which this process closes, at the
// latest when it is gone.
type driver struct {
	version string
	base    string // where its redirects are: http://127.0.0.1:PORT
	mu      sync.Mutex
	in      io.Writer
	out     *bufio.Reader
	parties int // so far
}

// A driverAnswer is one line of what driver.mjs says.
type driverAnswer struct {
	Result  json.RawMessage
	Trouble *Trouble
}

var node = sync.OnceValues(startNode)

// nodePath returns where a Node is, and its version, v20.1.2.
func nodePath() (path, version string, err error) {
	if path, err = exec.LookPath("node"); err != nil {
		return "", "", missing{fmt.Sprintf("no node on PATH; install Node.js %d or newer (apt-get install nodejs npm)", oldestNode)}
	}
	out, err := exec.Command(path, "--version").Output()
	if err != nil {
		return "", "", fmt.Errorf("%s --version: %w", path, err)
	}
	version = strings.TrimSpace(string(out))
	major, _, _ := strings.Cut(strings.TrimPrefix(version, "v"), ".")
	n, err := strconv.Atoi(major)
	if err != nil {
		return "", "", fmt.Errorf("%s --version says %q", path, version)
	}
	if n < oldestNode {
		return "", "", missing{fmt.Sprintf("%s is Node.js %s, which is older than %d", path, version, oldestNode)}
	}
	return path, version, nil
}

func startNode() (*driver, error) {
	path, version, err := nodePath()
	if err != nil {
		return nil, err
	}
	modules, err := driverModules()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(path, "driver.mjs")
	cmd.Dir, cmd.Stderr = filepath.Dir(modules), os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	d := &driver{version: version, in: in, out: bufio.NewReader(out)}
	var hello struct{ Base string }
	if err := d.read(&hello); err != nil {
		return nil, err
	}
	d.base = hello.Base
	return d, nil
}

// repository returns the directory of go.mod, from wherever a test runs.
func repository() (string, error) {
	at, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := at; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, filepath.FromSlash(driverDir))); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no %s above %s", driverDir, at)
		}
	}
}

// ask sends one line and reads the one that answers it.
func (d *driver) ask(question, answer any) error {
	line, err := json.Marshal(question)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, err := d.in.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("node: %w", err)
	}
	return d.read(answer)
}

func (d *driver) read(answer any) error {
	line, err := d.out.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("node: %w", err)
	}
	if err := json.Unmarshal(line, answer); err != nil {
		return fmt.Errorf("node: %w in %s", err, line)
	}
	return nil
}

// redirect returns an address of the driver that nobody has yet, and its path.
func (d *driver) redirect() (uri, path string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.parties++
	path = "/" + strconv.Itoa(d.parties)
	return d.base + path, path
}

// OpenIDClientModules returns the directory of node_modules that has openid-client,
// for a test that runs a program of its own with Node, which is there too.
func OpenIDClientModules(t testing.TB) string {
	t.Helper()
	_, _, err := nodePath()
	dir := ""
	if err == nil {
		dir, err = driverModules()
	}
	need(t, needNode, err)
	return dir
}

// driverModules is where openid-client is installed.
func driverModules() (string, error) {
	root, err := repository()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, filepath.FromSlash(driverDir), "node_modules")
	if _, err := os.Stat(filepath.Join(dir, "openid-client", "package.json")); err != nil {
		return "", missing{"openid-client is not installed; .ci/run npm (or npm ci in " + driverDir + ")"}
	}
	return dir, nil
}
