package providertest

import (
	"os"
	"sync"
)

// scratch is this process's own directory, gone when the process ends.
var scratch = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "doorstep-test-")
	if err != nil {
		return "", err
	}
	// Postgres runs in it as somebody else than root.
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // each server's own directory below it is closed
		return "", err
	}
	return dir, atEnd("rm -rf -- " + quote(dir))
})
