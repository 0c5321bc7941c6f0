import resource,time
import plotly.graph_objects as go
import kaleido
t=time.process_time()
kaleido.start_sync_server(n=1,mathjax=False,timeout=60,silence_warnings=True)
f=go.Figure(go.Scatter(x=[1,2,3],y=[1,2,3]))
for i in range(3):
    kaleido.calc_fig_sync(f,opts={"format":"png","width":1000,"height":500,"scale":1.5})
print(time.process_time()-t)
kaleido.stop_sync_server()
print(resource.getrusage(resource.RUSAGE_CHILDREN))
