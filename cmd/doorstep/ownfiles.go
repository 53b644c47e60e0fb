package main

import (
	"os"

	"github.com/doorstep-id/doorstep/policy/rules"
	"github.com/doorstep-id/doorstep/templates"
)

// ownFiles are what an operator wrote for the house: rules, and pages, mails and words. A command
// that runs no house does not read them: whoever asks whether a server is well should hear it
// while a file is being edited too.
type ownFiles struct {
	rules     rules.Set            // the zero Set: everybody who proved who they are comes in
	templates *templates.Overrides // nil: none
}

// readOwnFiles reads them as they are now. The *configError has the fault of each.
func (c *config) readOwnFiles() (own ownFiles, err error) {
	var faults []configFault
	fault := func(key, format string, args ...any) {
		faults = append(faults, faultsOf(c.refuse(key, format, args...))...)
	}
	if c.Templates != "" {
		if own.templates, err = overrides(c.Templates); err != nil {
			fault("templates", "%v", err)
		}
	}
	if c.Rules != "" {
		if own.rules, err = rulesFile(c.Rules); err != nil {
			fault("risk.rules", "%v", err)
		}
	}
	if own.rules.Scores && len(c.Scorers) == 0 {
		fault("risk.rules", "speaks of levels, scores or signals, and with risk.scorers none there are none")
	}
	if own.rules.Places && len(c.Places) == 0 {
		fault("risk.rules", "speaks of countries or autonomous systems, and without risk.places nobody knows which an address is of")
	}
	if len(faults) > 0 {
		return ownFiles{}, &configError{faults}
	}
	return own, nil
}

// rulesFile reads a file of rules.
func rulesFile(path string) (rules.Set, error) {
	text, err := readFile(path)
	if err != nil {
		return rules.Set{}, err
	}
	return rules.Parse(text, nobodyKnown)
}

// overrides reads a directory of pages, mails and words.
func overrides(dir string) (*templates.Overrides, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close() //nolint:errcheck // it was only read
	return templates.ReadOverrides(root.FS())
}
