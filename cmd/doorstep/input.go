package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// maxInput is more than any document that a command takes.
const maxInput = 1 << 20

// readInput reads a --file; - is stdin.
func (a *app) readInput(path string) ([]byte, error) {
	in := a.stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, maxInput+1))
	if err == nil && len(text) > maxInput {
		err = fmt.Errorf("%s is longer than %d bytes", path, maxInput)
	}
	return text, err
}

// readPassword reads a password from stdin as it is, but for the line's end that
// whoever pipes it adds.
func (a *app) readPassword() (string, error) {
	text, err := a.readInput("-")
	if err != nil {
		return "", err
	}
	password := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	if password == "" {
		return "", errors.New("there is no password on stdin")
	}
	return password, nil
}
