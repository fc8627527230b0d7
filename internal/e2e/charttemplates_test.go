package e2e_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/template"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

const chartFolder = "../../deploy/helm/realtime"

// helmFunctions are the functions of Helm that the templates of the chart use, beside
// "include". A template that uses another one fails to parse here.
var helmFunctions = template.FuncMap{
	"add": func(numbers ...any) (sum int64, err error) {
		for _, number := range numbers {
			n, err := strconv.ParseInt(fmt.Sprint(number), 10, 64)
			if err != nil {
				return 0, err
			}
			sum += n
		}
		return sum, nil
	},
	"append": func(list []string, more string) []string { return append(slices.Clone(list), more) },
	"default": func(otherwise, value any) any {
		if truth, _ := template.IsTrue(value); truth {
			return value
		}
		return otherwise
	},
	"fail":       func(reason string) (string, error) { return "", errors.New(reason) },
	"int":        func(value any) (int, error) { return strconv.Atoi(fmt.Sprint(value)) },
	"join":       func(between string, list []string) string { return strings.Join(list, between) },
	"list":       func(items ...string) []string { return items },
	"nindent":    func(n int, text string) string { return "\n" + indented(n, text) },
	"quote":      func(value any) string { return strconv.Quote(fmt.Sprint(value)) },
	"ternary":    func(yes, no string, which bool) string { return map[bool]string{true: yes, false: no}[which] },
	"toString":   func(value any) string { return fmt.Sprint(value) },
	"trimSuffix": func(suffix, text string) string { return strings.TrimSuffix(text, suffix) },
	"trunc":      func(n int, text string) string { return text[:min(n, len(text))] },
	"toYaml": func(value any) (string, error) {
		text, err := yaml.Marshal(value)
		return strings.TrimSuffix(string(text), "\n"), err
	},
	"until": func(n int) []int {
		numbers := make([]int, n)
		for i := range numbers {
			numbers[i] = i
		}
		return numbers
	},
}

func indented(n int, text string) string {
	pad := strings.Repeat(" ", n)
	return pad + strings.ReplaceAll(text, "\n", "\n"+pad)
}

// renderChart returns the manifests of the chart, by kind and name, with values that are set as
// with helm's --set. It returns an error for values that the schema or a template refuses.
func renderChart(t *testing.T, set string) (map[string]any, error) {
	t.Helper()
	values := readYAML(t, "values.yaml")
	for pair := range strings.SplitSeq(set, ",") {
		name, text, found := strings.Cut(pair, "=")
		if !found {
			continue
		}
		var value any
		if err := yaml.Unmarshal([]byte(text), &value); err != nil {
			t.Fatal(err)
		}
		within, path := values, strings.Split(name, ".")
		for _, step := range path[:len(path)-1] {
			within = within[step].(map[string]any)
		}
		within[path[len(path)-1]] = value
	}
	if err := checkValues(t, values); err != nil {
		return nil, err
	}
	chart := readYAML(t, "Chart.yaml")
	templates := template.New("chart").Option("missingkey=zero").Funcs(helmFunctions)
	templates.Funcs(template.FuncMap{"include": func(name string, data any) (string, error) {
		var text strings.Builder
		err := templates.ExecuteTemplate(&text, name, data)
		return text.String(), err
	}})
	if _, err := templates.ParseGlob(filepath.Join(chartFolder, "templates", "*")); err != nil {
		t.Fatal(err)
	}
	manifests := make(map[string]any)
	for _, file := range templates.Templates() {
		if !strings.HasSuffix(file.Name(), ".yaml") {
			continue
		}
		var text bytes.Buffer
		err := file.Execute(&text, map[string]any{
			"Values":  values,
			"Release": map[string]any{"Name": "rt"},
			"Chart":   map[string]any{"Name": chart["name"], "Version": chart["version"], "AppVersion": chart["appVersion"]},
		})
		if err != nil {
			return nil, err
		}
		addManifests(t, file.Name(), &text, manifests)
	}
	return manifests, nil
}

// addManifests adds the documents of a file.
func addManifests(t *testing.T, file string, text io.Reader, manifests map[string]any) {
	t.Helper()
	documents := yaml.NewDecoder(text)
	for {
		var document map[string]any
		if err := documents.Decode(&document); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if document != nil {
			name := fmt.Sprintf("%s/%s", document["kind"], at(document, "metadata", "name"))
			if manifests[name] != nil {
				t.Errorf("%s has %s twice", file, name)
			}
			manifests[name] = document
		}
	}
}

func readYAML(t *testing.T, file string) map[string]any {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(chartFolder, file))
	if err != nil {
		t.Fatal(err)
	}
	var values map[string]any
	if err := yaml.Unmarshal(text, &values); err != nil {
		t.Fatal(err)
	}
	return values
}

// checkValues validates values with the schema of the chart.
func checkValues(t *testing.T, values map[string]any) error {
	t.Helper()
	schema, err := jsonschema.NewCompiler().Compile(filepath.Join(chartFolder, "values.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return schema.Validate(document)
}

// at returns what is under keys of nested maps; nil where there is nothing.
func at(value any, keys ...string) any {
	for _, key := range keys {
		within, _ := value.(map[string]any)
		value = within[key]
	}
	return value
}

// TestChartTemplates: the templates give the manifests that Helm gave, which are the golden ones;
// what refers to a label or to a port finds it; and values that cannot work are refused.
func TestChartTemplates(t *testing.T) {
	t.Parallel()
	for name, chart := range charts {
		manifests, err := renderChart(t, chart.set)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		golden, err := os.Open(filepath.Join("../../deploy/helm/golden", name))
		if err != nil {
			t.Fatal(err)
		}
		defer golden.Close()
		want := make(map[string]any)
		addManifests(t, name, golden, want)
		for key := range want {
			if !reflect.DeepEqual(manifests[key], want[key]) {
				t.Errorf("%s: %s is\n%v\nwant\n%v", name, key, manifests[key], want[key])
			}
			delete(manifests, key)
		}
		for key := range manifests {
			t.Errorf("%s has no %s", name, key)
		}
		checkReferences(t, name, want)
	}
	for _, set := range refusedValues {
		if _, err := renderChart(t, set); err == nil {
			t.Errorf("%q is taken", set)
		}
	}
}

// checkReferences checks that selectors select the pods of the gateways, and that named ports are ports
// of their container.
func checkReferences(t *testing.T, name string, manifests map[string]any) {
	t.Helper()
	gateways := manifests["Deployment/rt"]
	if gateways == nil {
		gateways = manifests["StatefulSet/rt"]
	}
	pods, _ := at(gateways, "spec", "template", "metadata", "labels").(map[string]any)
	containers, _ := at(gateways, "spec", "template", "spec", "containers").([]any)
	if len(pods) == 0 || len(containers) != 1 {
		t.Fatalf("%s has no pods: %v", name, gateways)
	}
	ports := make(map[any]bool)
	for _, port := range at(containers[0], "ports").([]any) {
		ports[at(port, "name")] = true
	}
	for _, probe := range []string{"startupProbe", "readinessProbe", "livenessProbe"} {
		if port := at(containers[0], probe, "httpGet", "port"); !ports[port] {
			t.Errorf("%s: %s asks port %v, which the container has not", name, probe, port)
		}
	}
	for key, manifest := range manifests {
		kind, _, _ := strings.Cut(key, "/")
		selector := map[string][]string{
			"Service": {"spec", "selector"}, "NetworkPolicy": {"spec", "podSelector", "matchLabels"},
			"PodDisruptionBudget": {"spec", "selector", "matchLabels"},
			"Deployment":          {"spec", "selector", "matchLabels"}, "StatefulSet": {"spec", "selector", "matchLabels"},
		}[kind]
		if selector == nil {
			continue
		}
		labels, _ := at(manifest, selector...).(map[string]any)
		if len(labels) == 0 {
			t.Errorf("%s: %s selects nothing", name, key)
		}
		for label, value := range labels {
			if pods[label] != value {
				t.Errorf("%s: %s selects %s=%v, and the pods have %v", name, key, label, value, pods[label])
			}
		}
		if kind == "Service" {
			for _, port := range at(manifest, "spec", "ports").([]any) {
				if !ports[at(port, "targetPort")] {
					t.Errorf("%s: %s leads to port %v, which the container has not", name, key, at(port, "targetPort"))
				}
			}
		}
	}
}
