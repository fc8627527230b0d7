{{- define "realtime.name" -}}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{- end -}}
{{- define "realtime.selector" -}}
app.kubernetes.io/name: realtime
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}
{{- define "realtime.labels" -}}
{{ include "realtime.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}
{{- define "realtime.routes" -}}
{{- $name := include "realtime.name" . -}}
{{- $routes := list -}}
{{- range $i := until (int .Values.replicas) -}}
{{- $routes = append $routes (printf "%s-%d.%s-gateways:6222" $name $i $name) -}}
{{- end -}}
{{- join "," $routes -}}
{{- end -}}
