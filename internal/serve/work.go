package serve

import "context"

func (s *Server) work(ctx context.Context) error {
	<-ctx.Done()
	return nil
}
