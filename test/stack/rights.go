package stack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/yaml"

	"github.com/kongjwt/kong-jwt-operator/test/testenv"
)

const (
	// account is the operator's ServiceAccount, in OperatorNamespace.
	account = "kong-jwt-operator"
	// OperatorKubeconfig is, in Options.Dir, what the operator was started with last.
	OperatorKubeconfig = "operator-kubeconfig"
	// tokenSeconds outlasts every test.
	tokenSeconds = 24 * 60 * 60
)

// OperatorConfig is the operator's access to the control plane, for others who are to be no better off: its account,
// and the rights of an installation.
func (s *Stack) OperatorConfig(ctx context.Context) (*rest.Config, error) {
	path, err := s.operatorKubeconfig(ctx)
	if err != nil {
		return nil, err
	}
	return clientcmd.BuildConfigFromFlags("", path)
}

// operatorKubeconfig gives what the operator is started with: the account and the rights that an installation gives
// it, and no more.
func (s *Stack) operatorKubeconfig(ctx context.Context) (string, error) {
	if err := s.grantRights(ctx); err != nil {
		return "", fmt.Errorf("grant the operator its rights: %w", err)
	}
	request := &authenticationv1.TokenRequest{}
	request.Spec.ExpirationSeconds = new(int64)
	*request.Spec.ExpirationSeconds = tokenSeconds
	owner := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: OperatorNamespace, Name: account}}
	if err := s.Client.SubResource("token").Create(ctx, owner, request); err != nil {
		return "", fmt.Errorf("ask for the operator's token: %w", err)
	}
	file := clientcmdapi.NewConfig()
	file.Clusters["test"] = &clientcmdapi.Cluster{Server: s.Config.Host, CertificateAuthorityData: s.Config.CAData}
	file.AuthInfos["test"] = &clientcmdapi.AuthInfo{Token: request.Status.Token}
	file.Contexts["test"] = &clientcmdapi.Context{Cluster: "test", AuthInfo: "test"}
	file.CurrentContext = "test"
	path := filepath.Join(s.options.Dir, OperatorKubeconfig)
	return path, clientcmd.WriteToFile(*file, path)
}

// grantRights applies the roles of config/operator, which are the chart's.
func (s *Stack) grantRights(ctx context.Context) error {
	root, err := testenv.RepositoryRoot()
	if err != nil {
		return err
	}
	content, err := os.ReadFile(filepath.Join(root, "config", "operator", "operator.yaml")) //nolint:gosec // A file of this repository.
	if err != nil {
		return err
	}
	granted := 0
	for _, document := range bytes.Split(content, []byte("\n---\n")) {
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(document, &object.Object); err != nil {
			return err
		}
		switch object.GetKind() {
		case "ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding":
			if err := s.Client.Create(ctx, object); err != nil && !apierrors.IsAlreadyExists(err) {
				return err
			}
			granted++
		}
	}
	if granted == 0 {
		return errors.New("config/operator/operator.yaml holds no roles")
	}
	return nil
}
