{{- define "whisker.mounts" -}}
- {name: tmp, mountPath: /tmp}
{{- if include "whisker.hasModels" . }}
- {name: models, mountPath: /models, readOnly: true}
{{- end }}
{{- if .Values.review.claim }}
- {name: review, mountPath: /review}
{{- end }}
{{- if .Values.corrections.claim }}
- {name: corrections, mountPath: /corrections}
{{- end }}
{{- end -}}

{{- define "whisker.volumes" -}}
- name: tmp
  emptyDir: {medium: Memory, sizeLimit: 64Mi}
{{- if .Values.models.claim }}
- name: models
  persistentVolumeClaim: {claimName: {{ .Values.models.claim }}}
{{- else if .Values.models.imageVolume }}
- name: models
  image: {reference: {{ .Values.models.imageVolume | quote }}, pullPolicy: {{ .Values.image.pullPolicy }}}
{{- else if .Values.models.init }}
- name: models
  emptyDir: {sizeLimit: {{ .Values.models.sizeLimit }}}
{{- end }}
{{- if .Values.review.claim }}
- name: review
  persistentVolumeClaim: {claimName: {{ .Values.review.claim }}}
{{- end }}
{{- if .Values.corrections.claim }}
- name: corrections
  persistentVolumeClaim: {claimName: {{ .Values.corrections.claim }}}
{{- end }}
{{- end -}}
