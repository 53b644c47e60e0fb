package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/mattn/go-isatty"
)

// exampleRedirect is what is proposed to who registers a client at a terminal, where
// the program of --snippet listens.
const exampleRedirect = "http://localhost:" + snippetPort + "/callback"

// askFor asks at a terminal for what a client cannot do without: a name, and a
// redirect if people sign in to it. Whoever said anything by flags, or is no person,
// is asked nothing and told which flag is missing.
func (a *app) askFor(in *clientFlags) error {
	if in.file != "" {
		return nil
	}
	signsIn := in.kind != "service"
	if in.name == "" && in.id == "" && len(in.redirects) == 0 && a.atTerminal() {
		lines := bufio.NewReader(io.LimitReader(a.stdin, maxInput))
		var err error
		if in.name, err = a.ask(lines, "What do people see it called?", ""); err != nil {
			return err
		}
		if signsIn {
			redirect, err := a.ask(lines, "Where do people come back to?", exampleRedirect)
			if err != nil {
				return err
			}
			in.redirects = []string{redirect}
		}
	}
	switch {
	case signsIn && len(in.redirects) == 0:
		return &usageError{fmt.Sprintf("--redirect-uri is missing: where people come back to, such as %s", exampleRedirect)}
	case in.name == "" && in.id == "" && !signsIn:
		return &usageError{"--name is missing: what the service is called"}
	}
	return nil
}

// atTerminal reports whether a person is there to be asked.
func (a *app) atTerminal() bool {
	file, ok := a.stdin.(*os.File)
	return ok && isatty.IsTerminal(file.Fd())
}

// ask returns one line that is typed, or what is proposed if nothing is.
func (a *app) ask(lines *bufio.Reader, question, proposed string) (string, error) {
	if proposed != "" {
		question += " [" + proposed + "]"
	}
	for {
		fmt.Fprint(a.stderr, question+" ")
		line, err := lines.ReadString('\n')
		if line = strings.TrimSpace(line); line == "" {
			line = proposed
		}
		switch {
		case line != "":
			return line, nil
		case errors.Is(err, io.EOF):
			return "", errors.New("nothing was typed, and nothing was registered")
		case err != nil:
			return "", err
		}
	}
}
