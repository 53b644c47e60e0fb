package providertest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// What a test may need beyond Go, as DOORSTEP_TEST_REQUIRE names it.
const (
	needPostgres = "postgres"
	needChromium = "chromium"
	needNode     = "node"
	needApache   = "apache"
	needPython   = "python"
	needCurl     = "curl"
	needOathtool = "oathtool"
)

// needs are all of them.
var needs = []string{needPostgres, needChromium, needNode, needApache, needPython, needCurl, needOathtool}

// missing is what a machine lacks: a reason to skip a test, where anything else
// that goes wrong with a need is a failure.
type missing struct{ what string }

func (m missing) Error() string { return m.what }

// need skips the test when the named need is missing, or fails it when
// DOORSTEP_TEST_REQUIRE names it or it is there and does not work.
func need(t testing.TB, name string, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if _, lacks := errors.AsType[missing](err); lacks && !slices.Contains(listed("DOORSTEP_TEST_REQUIRE"), name) {
		t.Skipf("needs %s: %v", name, err)
	}
	t.Fatalf("needs %s: %v", name, err)
}

// Python returns where a Python 3 is.
func Python(t testing.TB) string {
	t.Helper()
	path, err := program("python3")
	need(t, needPython, err)
	return path
}

// Curl says that curl is there, and openssl, without which a script gets nowhere.
func Curl(t testing.TB) {
	t.Helper()
	for _, name := range []string{"curl", "openssl"} {
		_, err := program(name)
		need(t, needCurl, err)
	}
}

// Oathtool returns where a program is that shows one-time codes as an authenticator
// app does, and has no code of ours.
func Oathtool(t testing.TB) string {
	t.Helper()
	path, err := program("oathtool")
	need(t, needOathtool, err)
	return path
}

// program returns where a program of Debian's package of the same name is.
func program(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", missing{fmt.Sprintf("no %s on PATH; apt-get install %[1]s", name)}
	}
	return path, nil
}

// listed returns the names in a comma-separated environment variable.
func listed(variable string) []string {
	return strings.FieldsFunc(os.Getenv(variable), func(r rune) bool { return r == ',' || r == ' ' })
}

// namedIn is listed, for a variable whose names must be among known ones.
func namedIn(variable string, known ...string) ([]string, error) {
	names := listed(variable)
	for _, name := range names {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("%s: %q is none of %s", variable, name, strings.Join(known, ", "))
		}
	}
	return names, nil
}
