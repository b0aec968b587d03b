"""Measure deep networks exactly as Glorot & Bengio (2010) did.

Where to look, from the ground up (a module imports only from lines above its own):

====================================================  ==============================================
``storage``, ``activations``, ``spectra``, ``plots``  files, activations, singular values, drawing
``statements``                                        the paper's claims, in our words
``processes``                                         workers that end with whoever started them
``alarm``                                             a limit on how long a call may take
``theory``                                            the paper's equations as functions
``shapeset``, ``datasets``, ``results``               data we make, data we fetch, results we ship
``init``                                              the initialisation schemes, Eqs. (1) and (16)
``models``                                            ``MLP``: dense networks with a run axis
``backprop``                                          Eqs. (2) and (3) as code
``instruments``                                       statistics of activations and gradients
``jacobian``                                          Jacobians of layers, their singular values
``engine``                                            the same steps, many at a time, fast
``fresh``                                             calls made in a fresh process
``training``                                          one visible loop, and its ``History``
``pretraining``                                       denoising auto-encoders, layer by layer
``jobs``                                              trainings as plain data, stacked into jobs
``sweeps``                                            jobs computed, resumable, here or on a cluster
``untrained``, ``surfaces``                           networks before training; Figure 5's costs
``criteria``                                          one function per claim: what would count
``criteria_before``                                   the same, of networks before training
``criteria_layers``, ``criteria_errors``              the same, of layers in training, of errors
``verdicts``                                          what was found of each claim
``verdicts_before``                                   the same, of networks before training
``verdicts_layers``, ``verdicts_errors``              the same, of layers in training, of errors
``experiments``                                       one entry per figure
``verdicts_elsewhere``                                what was found on other data
``reproduce``                                         an experiment run
``figures_before``                                    drawings: networks before training
``figures_layers``, ``figures_errors``                the same, of layers in training, of errors
``report``, ``checks``                                a check-up; checks of answers
``figures``, ``claims``                               each experiment's figure and table; the ledger
``widgets``                                           figures to operate, in a page and in Jupyter
``classroom``                                         assignments: sources, releases, marks
====================================================  ==============================================
"""

__version__ = "0.1.0"
