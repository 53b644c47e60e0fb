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
	if err := os.Chmod(dir, 0o755); err != nil {
		return "", err
	}
	// More than once: a program that was killed may still be writing.
	return dir, atEnd("for i in 1 2 3 4 5; do rm -rf -- " + quote(dir) + " 2>/dev/null && break; sleep 0.2; done")
})
