package cli

import (
	"cmp"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/acre-registry/acre/internal/fault"
)

// readyWait bounds how long a server may take to say that it is ready.
const readyWait = 10 * time.Second

func (a *app) readyCommand() *cobra.Command {
	return &cobra.Command{
		Use: "ready", Short: "Tell by the exit code whether the server is ready", Args: noArgs,
		Long: `Ask the server on the data directory whether it is ready to serve, as GET /readyz does, and end with 0 if it is: for the
health checks of containers and supervisors. It prints nothing else than why it is not.`,
		Example: "  acre admin ready --data /var/lib/acre",
		RunE: func(cmd *cobra.Command, _ []string) error {
			addr, err := a.addresses()
			if err != nil {
				return err
			}
			at := cmp.Or(addr.Ops, addr.HTTP)
			if at == "" {
				return fault.New(fault.Unavailable, "no server with a plain listener runs on the data directory %s: start one, and give http or ops an address", a.dataDir())
			}
			req, err := http.NewRequestWithContext(cmd.Context(), http.MethodGet, "http://"+at+"/readyz", nil)
			if err != nil {
				return err
			}
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: readyWait} // without a proxy
			resp, err := client.Do(req)
			if err != nil {
				return fault.New(fault.Unavailable, "the server does not answer: %w", err)
			}
			defer resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				return fault.New(fault.Unavailable, "the server is not ready: %s answers %s", req.URL, resp.Status)
			}
			return nil
		},
	}
}
