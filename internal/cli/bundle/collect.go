package bundle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/inventory"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/operatorpods"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/index"
)

// collector reads the cluster into files.
type collector struct {
	kube      client.Client
	clientset kubernetes.Interface
	files     *files
	guard     *scrubber
	// namespace to look at; empty for all.
	namespace string
	operator  operatorpods.Flags
	tail      int64
}

// resources are ours, as they are but for what redact takes out.
func (c *collector) resources(ctx context.Context) error {
	found, err := inventory.Read(ctx, c.kube, c.namespace)
	if err != nil {
		return err
	}
	for _, kind := range found.Unreadable {
		c.files.problems = append(c.files.problems, kind+": you may not list them")
	}
	all := found.Resources()
	for i, r := range all {
		object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(r.Object)
		if err != nil {
			c.files.lacks(r.Kind+" "+r.Path(), err)
			continue
		}
		object["apiVersion"], object["kind"] = v1alpha1.GroupVersion.String(), r.Kind
		redact(object)
		c.files.addYAML(fmt.Sprintf("resources/%s/%s.yaml", strings.ToLower(r.Kind), strings.ReplaceAll(r.Path(), "/", "_")), object)
		all[i].Object = nil
	}
	c.files.addYAML("status.yaml", map[string]any{"resources": all})
	c.secrets(ctx, &found)
	return nil
}

// secretReport is what a bundle says of a Secret: never a value of it.
type secretReport struct {
	Namespace string         `json:"namespace"`
	Name      string         `json:"name"`
	NamedBy   []string       `json:"namedBy"`
	Problem   string         `json:"problem,omitempty"`
	Type      string         `json:"type,omitempty"`
	Owner     string         `json:"owner,omitempty"`
	Age       *metav1.Time   `json:"created,omitempty"`
	Bytes     map[string]int `json:"bytes,omitempty"`
}

// secrets tells of each Secret that a resource names whether it is there, and how long its values are.
func (c *collector) secrets(ctx context.Context, found *inventory.Inventory) {
	named := namedSecrets(found)
	keys := make([]client.ObjectKey, 0, len(named))
	for key := range named {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b client.ObjectKey) int { return strings.Compare(a.String(), b.String()) })
	reports := []secretReport{}
	for _, key := range keys {
		report := secretReport{Namespace: key.Namespace, Name: key.Name, NamedBy: named[key]}
		var secret corev1.Secret
		if err := c.kube.Get(ctx, key, &secret); err != nil {
			report.Problem = err.Error()
		} else {
			c.guard.learn(secret.Data, secret.Labels[v1alpha1.LabelOwnerKind] != "")
			report.Type, report.Bytes = string(secret.Type), map[string]int{}
			report.Age = &secret.CreationTimestamp
			if kind := secret.Labels[v1alpha1.LabelOwnerKind]; kind != "" {
				report.Owner = kind + " " + secret.Labels[v1alpha1.LabelOwnerName]
			}
			for name, value := range secret.Data {
				report.Bytes[name] = len(value)
			}
		}
		reports = append(reports, report)
	}
	c.files.addYAML("secrets.yaml", map[string]any{"secrets": reports})
}

// namedSecrets are the Secrets that resources name, and those of the operator's own, by who names them.
func namedSecrets(found *inventory.Inventory) map[client.ObjectKey][]string {
	named := map[client.ObjectKey][]string{}
	add := func(by, namespace, name string) {
		key := client.ObjectKey{Namespace: namespace, Name: name}
		if name != "" && !slices.Contains(named[key], by) {
			named[key] = append(named[key], by)
		}
	}
	sources := func(by, namespace string, plugin v1alpha1.PluginSpec) {
		for _, source := range plugin.ConfigFrom {
			add(by, namespace, source.SecretRef.Name)
		}
	}
	for i := range found.Gateways {
		for _, ref := range index.GatewaySecrets(found.Gateways[i].Spec) {
			add(v1alpha1.KindKongGateway+" "+found.Gateways[i].Name, ref.Namespace, ref.Name)
		}
	}
	for i := range found.Consumers {
		consumer := &found.Consumers[i]
		by := v1alpha1.KindJwtConsumer + " " + consumer.Name
		for _, credentials := range consumer.Spec.Credentials {
			switch {
			case credentials.SecretRef != nil:
				add(by, consumer.Namespace, credentials.SecretRef.Name)
			case credentials.Generate != nil:
				add(by, consumer.Namespace, credentials.Generate.SecretName)
				add(by, consumer.Namespace, credential.StateSecretName(consumer.Name))
			case credentials.JWKS != nil && credentials.JWKS.CASecretRef != nil:
				add(by, consumer.Namespace, credentials.JWKS.CASecretRef.Name)
			}
		}
		for _, plugin := range consumer.Spec.Plugins {
			sources(by, consumer.Namespace, plugin)
		}
	}
	for i := range found.Services {
		service := &found.Services[i]
		by := v1alpha1.KindJwtProtectedService + " " + service.Name
		for _, plugin := range service.Spec.Plugins {
			sources(by, service.Namespace, plugin.PluginSpec)
		}
	}
	for i := range found.Tokens {
		add(v1alpha1.KindJwtToken+" "+found.Tokens[i].Name, found.Tokens[i].Namespace, found.Tokens[i].Spec.SecretName)
	}
	return named
}

// event is what a bundle keeps of one.
type event struct {
	Time    time.Time `json:"time"`
	Type    string    `json:"type"`
	Reason  string    `json:"reason"`
	Object  string    `json:"object"`
	Count   int32     `json:"count,omitempty"`
	Message string    `json:"message"`
}

// events are those about our kinds.
func (c *collector) events(ctx context.Context) {
	var list corev1.EventList
	if err := c.kube.List(ctx, &list, client.InNamespace(c.namespace)); err != nil {
		c.files.lacks("events", err)
		return
	}
	kept := []event{}
	for _, e := range list.Items {
		if !slices.Contains(inventory.Kinds(), e.InvolvedObject.Kind) {
			continue
		}
		at := e.LastTimestamp.Time
		for _, other := range []time.Time{e.EventTime.Time, e.FirstTimestamp.Time, e.CreationTimestamp.Time} {
			if at.IsZero() {
				at = other
			}
		}
		if e.Series != nil && e.Series.LastObservedTime.After(at) {
			at, e.Count = e.Series.LastObservedTime.Time, e.Series.Count
		}
		kept = append(kept, event{
			Time: at, Type: e.Type, Reason: e.Reason, Count: e.Count, Message: e.Message,
			Object: strings.TrimSuffix(e.InvolvedObject.Kind+" "+e.InvolvedObject.Namespace+"/"+e.InvolvedObject.Name, "/"),
		})
	}
	slices.SortStableFunc(kept, func(a, b event) int { return a.Time.Compare(b.Time) })
	c.files.addYAML("events.yaml", map[string]any{"events": kept})
}

// pods are the operator's: how they are, what they log, what they measure.
func (c *collector) pods(ctx context.Context) (images []string) {
	pods, err := c.operator.List(ctx, c.kube)
	if err != nil {
		c.files.lacks("the operator's pods", err)
		return nil
	}
	if len(pods) == 0 {
		c.files.problems = append(c.files.problems, "the operator's pods: "+c.operator.None())
	}
	for i := range pods {
		pod := &pods[i]
		place := "operator/" + pod.Namespace + "_" + pod.Name
		object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(pod)
		if err == nil {
			redactPod(object)
			c.files.addYAML(place+".yaml", object)
		}
		for _, container := range pod.Spec.Containers {
			c.logs(ctx, pod, container.Name, place)
			c.metrics(ctx, pod, container, place)
		}
	}
	return operatorpods.Images(pods)
}

// logs of a container, and of the one before it where that ended.
func (c *collector) logs(ctx context.Context, pod *corev1.Pod, container, place string) {
	for _, previous := range []bool{false, true} {
		ended := slices.ContainsFunc(pod.Status.ContainerStatuses, func(s corev1.ContainerStatus) bool { return s.Name == container && s.RestartCount > 0 })
		if previous && !ended {
			continue
		}
		name := place + "_" + container + ".log"
		if previous {
			name = place + "_" + container + ".previous.log"
		}
		options := &corev1.PodLogOptions{Container: container, Previous: previous, Timestamps: true, TailLines: &c.tail}
		stream, err := c.clientset.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, options).Stream(ctx)
		if err != nil {
			c.files.lacks(name, err)
			continue
		}
		content, err := io.ReadAll(io.LimitReader(stream, maxLog))
		_ = stream.Close()
		if err != nil {
			c.files.lacks(name, err)
		}
		c.files.add(name, string(content))
	}
}

// maxLog is how much of one log is taken, in bytes.
const maxLog = 32 << 20

// metrics by the API server's proxy, which passes no token on: where the endpoint asks for one there are none. A
// token is not sent to a pod in another way either: whoever may label a pod could have it.
func (c *collector) metrics(ctx context.Context, pod *corev1.Pod, container corev1.Container, place string) {
	for _, port := range container.Ports {
		if port.Name != "metrics" {
			continue
		}
		name := place + "_metrics.txt"
		var problems []error
		for _, scheme := range []string{"https", "http"} {
			content, err := c.clientset.CoreV1().Pods(pod.Namespace).ProxyGet(scheme, pod.Name, fmt.Sprint(port.ContainerPort), "/metrics", nil).DoRaw(ctx)
			if err == nil {
				c.files.add(name, string(content))
				return
			}
			problems = append(problems, err)
			if apierrors.IsUnauthorized(err) || apierrors.IsForbidden(err) {
				problems = []error{errors.New("the endpoint asks who reads it, and nobody's token is sent to a pod; add the metrics by hand, if they are asked for")}
				break
			}
		}
		c.files.lacks(name, errors.Join(problems...))
	}
}
