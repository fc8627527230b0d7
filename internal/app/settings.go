package app

import (
	"fmt"
	"net/url"
	"reflect"
	"strings"
)

// Setting is one setting as people see it.
type Setting struct {
	Name    string `json:"name"`
	Value   string `json:"value"`
	Default string `json:"default"`
	Meaning string `json:"meaning"`
}

// Settings lists the effective settings in the order of the struct, with
// passwords hidden.
func (c Config) Settings() []Setting {
	value := reflect.ValueOf(c)
	var settings []Setting
	for _, field := range reflect.VisibleFields(value.Type()) {
		setting := Setting{
			Name:    field.Tag.Get("env"),
			Value:   format(value.FieldByIndex(field.Index)),
			Default: field.Tag.Get("envDefault"),
			Meaning: field.Tag.Get("doc"),
		}
		setting.Value = redact(field, setting.Value)
		settings = append(settings, setting)
	}
	return settings
}

func format(value reflect.Value) string {
	if list, ok := value.Interface().([]string); ok {
		return strings.Join(list, ",")
	}
	return fmt.Sprint(value.Interface())
}

// redact hides what is secret in the value of a setting: the passwords in
// addresses, or all of it.
func redact(field reflect.StructField, value string) string {
	switch {
	case value == "":
		return ""
	case field.Tag.Get("secret") == "url":
		return redactURL(value)
	case field.Tag.Get("secret") == "value":
		return "(hidden)"
	}
	return value
}

// redactURL hides what may be secret in each address of a comma-separated list:
// the password, the user where there is no password (it is a token then), and
// the values of the query. What cannot be read as an address is hidden whole,
// when it may hold one of these.
func redactURL(list string) string {
	parts := strings.Split(list, ",")
	for i, part := range parts {
		address, query, hasQuery := strings.Cut(part, "?")
		u, err := url.Parse(address)
		switch {
		case err == nil && u.User != nil:
			if _, hasPassword := u.User.Password(); !hasPassword {
				u.User = url.User("xxxxx")
			}
			address = u.Redacted()
		case strings.Contains(address, "@"):
			address = "(hidden)"
		}
		if hasQuery {
			address += "?" + redactQuery(query)
		}
		parts[i] = address
	}
	return strings.Join(parts, ",")
}

// redactQuery keeps the names of a query's values.
func redactQuery(query string) string {
	pairs := strings.Split(query, "&")
	for i, pair := range pairs {
		name, _, _ := strings.Cut(pair, "=")
		pairs[i] = name + "=xxxxx"
	}
	return strings.Join(pairs, "&")
}
