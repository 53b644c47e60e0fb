package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"
)

// What is ours in the environment. DOORSTEP_TEST_* is for the tests of this
// repository, DOORSTEP_CONFIG names the file and DOORSTEP_TOKEN is for --server: none
// of them is a setting.
const (
	envPrefix     = "DOORSTEP_"
	envTestPrefix = "DOORSTEP_TEST_"
	envConfig     = "DOORSTEP_CONFIG"
	envDatabase   = "DATABASE_URL" // what platforms give to whatever they run
	fileSuffix    = "_file"        // names a file that holds the secret
)

// value is a setting as text, and who says so.
type value struct{ text, from string }

// layer is one source of settings.
type layer struct {
	values map[string]any          // by key: database.url
	name   func(key string) string // how this source calls a key
}

// layers merges every source; a later one wins. Whatever is wrong goes to faults.
type layers struct {
	values map[string]value
	faults []configFault
}

func (l *layers) fault(key, from, format string, args ...any) {
	l.faults = append(l.faults, configFault{Key: key, From: from, Message: fmt.Sprintf(format, args...)})
}

// readLayers reads defaults, file, environment and flags, in this order.
func readLayers(configFile string, environ []string, flags *pflag.FlagSet) *layers {
	l := &layers{values: map[string]value{}}
	for _, s := range table {
		l.values[s.key] = value{s.preset, "default"}
	}
	l.add(l.fromFile(cmp.Or(configFile, lookup(environ, envConfig))))
	l.add(fromPlatform(environ))
	l.add(fromEnv(environ))
	l.add(fromFlags(flags))
	return l
}

// add lays one source over those before it.
func (l *layers) add(src layer) {
	for _, key := range slices.Sorted(maps.Keys(src.values)) {
		raw, name := src.values[key], src.name(key)
		if s := settingOf(key); s != nil {
			if text, ok := textOf(raw); ok {
				l.values[key] = value{text, name}
			} else {
				l.fault(key, name, "must be one value, or a list of them")
			}
			continue
		}
		secret := settingOf(strings.TrimSuffix(key, fileSuffix))
		switch path, ok := textOf(raw); {
		case secret == nil || !secret.secret || !strings.HasSuffix(key, fileSuffix):
			l.fault(key, name, "no such setting%s", suggestion(key, src.name))
		case src.values[secret.key] != nil:
			l.fault(secret.key, name, "is set twice: %s and %s", src.name(secret.key), name)
		case !ok || path == "":
			l.fault(key, name, "must be the path of a file")
		default:
			content, err := readFile(path)
			if err != nil {
				l.fault(key, name, "%v", err)
				continue
			}
			l.values[secret.key] = value{strings.TrimSpace(string(content)), name + " (" + path + ")"}
		}
	}
}

// fromFile reads the YAML file at path, if there is to be one.
func (l *layers) fromFile(path string) layer {
	if path == "" {
		return layer{}
	}
	k := koanf.New(".")
	if err := k.Load(file.Provider(path), yaml.Parser()); err != nil {
		l.fault("config", path, "%v", err)
	}
	return layer{k.All(), func(string) string { return path }}
}

// fromEnv reads DOORSTEP_*.
func fromEnv(environ []string) layer {
	k := koanf.New(".")
	// The empty delimiter leaves keys flat: A=1 and A__B=2 must both be seen.
	must(k.Load(env.Provider("", env.Opt{
		Prefix:      envPrefix,
		EnvironFunc: func() []string { return environ },
		TransformFunc: func(name, text string) (string, any) {
			if strings.HasPrefix(name, envTestPrefix) || name == envConfig || name == envToken {
				return "", nil
			}
			return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(name, envPrefix), "__", ".")), text
		},
	}), nil))
	return layer{k.All(), envName}
}

// envName is the variable that sets a key.
func envName(key string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "__"))
}

// fromPlatform reads the one variable that is not ours.
func fromPlatform(environ []string) layer {
	text := lookup(environ, envDatabase)
	if text == "" {
		return layer{}
	}
	return layer{map[string]any{"database.url": text}, func(string) string { return envDatabase }}
}

// fromFlags reads the flags that were given.
func fromFlags(flags *pflag.FlagSet) layer {
	given := map[string]any{}
	for _, s := range table {
		for _, key := range []string{s.key, s.key + fileSuffix} {
			if f := flags.Lookup(flagName(key)); f != nil && f.Changed {
				given[key] = f.Value.String()
			}
		}
	}
	k := koanf.New(".")
	must(k.Load(confmap.Provider(given, ""), nil))
	return layer{k.All(), func(key string) string { return "--" + flagName(key) }}
}

// flagName is the flag that sets a key, without its dashes.
func flagName(key string) string { return strings.NewReplacer(".", "-", "_", "-").Replace(key) }

// textOf is a leaf of a layer as text; a list is joined by commas.
func textOf(raw any) (string, bool) {
	switch v := raw.(type) {
	case nil:
		return "", true
	case map[string]any:
		return "", false
	case []any:
		parts := make([]string, len(v))
		for i, e := range v {
			text, ok := textOf(e)
			if !ok {
				return "", false
			}
			parts[i] = text
		}
		return strings.Join(parts, ","), true
	}
	return fmt.Sprint(raw), true
}

// suggestion finds the setting that differs from key in its separators only:
// one underscore where two belong is the commonest mistake.
func suggestion(key string, name func(string) string) string {
	squash := strings.NewReplacer(".", "", "_", "", "-", "")
	for _, s := range table {
		for _, known := range []string{s.key, s.key + fileSuffix} {
			if (known == s.key || s.secret) && squash.Replace(known) == squash.Replace(key) {
				if spelled := name(known); spelled != name(key) {
					return "; did you mean " + spelled + "?"
				}
				return "; did you mean " + known + "?"
			}
		}
	}
	return ""
}

func lookup(environ []string, name string) string {
	for _, e := range environ {
		if k, v, _ := strings.Cut(e, "="); k == name {
			return v
		}
	}
	return ""
}
