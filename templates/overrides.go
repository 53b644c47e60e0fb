package templates

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing/fstest"
)

// Overrides are an operator's own pages, mails and words: files pages/NAME.html, mails/NAME.html and mails/NAME.txt, each in
// the place of ours of that name, and locales/LANG.json, which has the messages that differ.
type Overrides struct {
	files fstest.MapFS
	words map[string][]byte // by language
}

// Bounds of a directory of overrides.
const (
	maxOverrides    = 100
	maxOverrideSize = 64 << 10
)

// ReadOverrides reads a directory and tries every page and mail that is in it, in every language; a page must keep what its
// safety stands on (see checkPage). The error names the file and, where there is one, the line.
func ReadOverrides(dir fs.FS) (*Overrides, error) {
	o := &Overrides{files: fstest.MapFS{}, words: map[string][]byte{}}
	names, err := overridesIn(dir, ".")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if err := o.read(dir, name); err != nil {
			return nil, err
		}
	}
	if o.has("mails/") || len(o.words) > 0 {
		if _, err := newMails(files, o); err != nil {
			return nil, err
		}
	}
	if o.has("pages/") {
		if err := o.tryPages(); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// overridesIn lists the files in a directory and the directories in it. What begins with a dot is not
// looked at, and a link to a directory is one: a volume of Kubernetes has its files in ..data, and
// links to them.
func overridesIn(root fs.FS, dir string) (names []string, err error) {
	entries, err := fs.ReadDir(root, dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		name := path.Join(dir, e.Name())
		info, err := fs.Stat(root, name)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			names = append(names, name)
			continue
		}
		if dir != "." {
			return nil, fmt.Errorf("%s: is a directory, and none of ours is there", name)
		}
		within, err := overridesIn(root, name)
		if err != nil {
			return nil, err
		}
		names = append(names, within...)
	}
	if len(names) > maxOverrides {
		return nil, fmt.Errorf("there are more than %d files", maxOverrides)
	}
	return names, nil
}

// has says whether there is a file of the operator's in that place.
func (o *Overrides) has(place string) bool {
	for name := range o.files {
		if strings.HasPrefix(name, place) {
			return true
		}
	}
	return false
}

func (o *Overrides) read(dir fs.FS, name string) error {
	if !regexp.MustCompile(`^(pages/[^/]*\.html|mails/[^/]*\.(html|txt)|locales/[^/]*\.json)$`).MatchString(name) {
		return fmt.Errorf("%s: is neither pages/NAME.html, mails/NAME.html, mails/NAME.txt nor locales/LANG.json", name)
	}
	if _, err := fs.Stat(files, name); err != nil {
		return fmt.Errorf("%s: there is no such file to put it in the place of", name)
	}
	file, err := dir.Open(name)
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // it was only read
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return errors.Join(err, fmt.Errorf("%s: is no regular file", name))
	}
	text, err := io.ReadAll(io.LimitReader(file, maxOverrideSize+1))
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", name, err)
	case len(text) > maxOverrideSize:
		return fmt.Errorf("%s: is larger than %d KiB", name, maxOverrideSize>>10)
	case !strings.HasPrefix(name, "locales/"):
		o.files[name] = &fstest.MapFile{Data: text}
		return nil
	}
	o.words[strings.TrimSuffix(path.Base(name), ".json")] = text
	return checkWords(name, text)
}

// placed returns the file of that name, the operator's before ours.
func (o *Overrides) placed(ours fs.FS, name string) (string, error) {
	if o != nil && o.files[name] != nil {
		return string(o.files[name].Data), nil
	}
	text, err := fs.ReadFile(ours, name)
	return string(text), err
}

var wordsPlaceholder = regexp.MustCompile(`\{\{\s*\.(\w+)\s*\}\}`)

// checkWords holds an operator's messages against ours: the same keys, each in the same forms, and no placeholder that ours
// has not.
func checkWords(name string, text []byte) error {
	at := func(offset int64, format string, args ...any) error {
		return fmt.Errorf("%s:%d: %s", name, lineAt(text, int(offset)), fmt.Sprintf(format, args...))
	}
	var own, ours map[string]json.RawMessage
	if err := json.Unmarshal(text, &own); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return at(syntax.Offset, "%v", err)
		}
		return at(0, "%v", err)
	}
	original, err := fs.ReadFile(files, name)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(original, &ours); err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(own)) {
		line := int64(bytes.Index(text, []byte(`"`+key+`"`)))
		if ours[key] == nil {
			return at(line, "%q is no message of ours", key)
		}
		if fault := checkMessage(formsOf(own[key]), formsOf(ours[key])); fault != "" {
			return at(line, "%q %s", key, fault)
		}
	}
	return nil
}

// checkMessage says what is wrong with the forms of a message.
func checkMessage(own, ours map[string]string) string {
	has := wordsPlaceholder.FindAllString(strings.Join(slices.Collect(maps.Values(ours)), " "), -1)
	if !slices.Equal(slices.Sorted(maps.Keys(own)), slices.Sorted(maps.Keys(ours))) {
		if ours[""] != "" {
			return "is no text"
		}
		return "must have the forms " + strings.Join(slices.Sorted(maps.Keys(ours)), ", ")
	}
	for _, said := range own {
		if strings.TrimSpace(said) == "" {
			return "is no text"
		}
		for _, p := range wordsPlaceholder.FindAllString(said, -1) {
			if !slices.ContainsFunc(has, func(h string) bool { return strings.Trim(h, "{ }") == strings.Trim(p, "{ }") }) {
				return "has no " + p
			}
		}
		if strings.ContainsAny(wordsPlaceholder.ReplaceAllString(said, ""), "{}") {
			return "has a brace that belongs to no placeholder such as {{.Brand}}"
		}
	}
	return ""
}

// formsOf are the forms of a message by their names, "" for one that has a single one; none of what is no message.
func formsOf(raw json.RawMessage) map[string]string {
	var single string
	if json.Unmarshal(raw, &single) == nil {
		return map[string]string{"": single}
	}
	forms := map[string]string{}
	if json.Unmarshal(raw, &forms) != nil {
		return nil
	}
	return forms
}

// lineAt is the line of a place in a text.
func lineAt(text []byte, offset int) int {
	return 1 + bytes.Count(text[:min(max(offset, 0), len(text))], []byte("\n"))
}
