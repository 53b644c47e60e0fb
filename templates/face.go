package templates

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"
	"unicode"
)

// Face returns what a page says as data for a program, and the page's name: the members
// of its view by their names in snake_case, without those that are empty or are for a
// browser's eyes only (the tag face:"-"). form makes what stands in the place of a form.
func Face(page any, form func(Form) any) (name string, data map[string]any, err error) {
	v := reflect.ValueOf(page)
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct {
		return "", nil, fmt.Errorf("templates: no page for %T", page)
	}
	of, ok := v.Interface().(view)
	if !ok {
		return "", nil, fmt.Errorf("templates: no page for %T", page)
	}
	data = map[string]any{}
	facer(form).members(data, v)
	return of.file(), data, nil
}

type facer func(Form) any

func (f facer) members(into map[string]any, v reflect.Value) {
	for i := range v.NumField() {
		field, value := v.Type().Field(i), v.Field(i)
		tag := field.Tag.Get("face")
		switch {
		case field.Type == reflect.TypeFor[Base](), tag == "-", value.IsZero():
		case field.Anonymous:
			f.members(into, value)
		case tag == "json":
			into[snake(field.Name)] = json.RawMessage(value.String())
		default:
			into[snake(field.Name)] = f.value(value)
		}
	}
}

func (f facer) value(v reflect.Value) any {
	switch one := v.Interface().(type) {
	case Form:
		return f(one)
	case time.Time:
		return one
	}
	switch v.Kind() { //nolint:exhaustive // all others stand for themselves
	case reflect.Pointer:
		return f.value(v.Elem())
	case reflect.Struct:
		members := map[string]any{}
		f.members(members, v)
		return members
	case reflect.Slice:
		all := make([]any, v.Len())
		for i := range all {
			all[i] = f.value(v.Index(i))
		}
		return all
	}
	return v.Interface()
}

// snake writes a name of Go's as JSON members are written: AddTOTPHref is add_totp_href.
func snake(name string) string {
	var b strings.Builder
	letters := []rune(name)
	for i, r := range letters {
		begins := unicode.IsUpper(r) && i > 0 &&
			(unicode.IsLower(letters[i-1]) || i+1 < len(letters) && unicode.IsLower(letters[i+1]))
		if begins {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
