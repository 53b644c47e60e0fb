package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"
)

// maxInput is more than any document that a command takes.
const maxInput = 1 << 20

// readInput reads a --file; - is stdin.
func (a *app) readInput(path string) ([]byte, error) {
	if path != "-" {
		return readFile(path)
	}
	text, err := io.ReadAll(io.LimitReader(a.stdin, maxInput+1))
	if err == nil && len(text) > maxInput {
		err = fmt.Errorf("stdin holds more than %d bytes", maxInput)
	}
	return text, err
}

// readFile reads a file that the operator named, or that a command keeps for them.
func readFile(path string) ([]byte, error) {
	return os.ReadFile(path) //nolint:gosec // who names it runs this binary, and may read it anyway
}

// readPassword reads a password from stdin as it is, but for the line's end that
// whoever pipes it adds.
func (a *app) readPassword() (string, error) {
	text, err := a.readInput("-")
	if err != nil {
		return "", err
	}
	password := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	switch {
	case password == "":
		return "", errors.New("there is no password on stdin")
	case !utf8.ValidString(password): // JSON has no word for it
		return "", errors.New("the password on stdin is not valid UTF-8")
	}
	return password, nil
}
